//! What one seed draws: an installation, people, and a schedule of troubles. A run is a pure function of its plan.

use std::time::Duration;

use holdfast_domain::policy::Mode;
use holdfast_domain::replication::Store;
use holdfast_world::Region;
use holdfast_world::events::DeliveryChaos;
use holdfast_world::fault::CallEffect;
use holdfast_world::providers::{CHAT, PAGERDUTY, WEBHOOK};

use super::trouble::{Ask, Fault, Trouble};
use crate::deployment::{DATA_REGIONS, REGIONS};

/// Everything that a run depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The seed of everything random in the world.
    pub seed: u64,
    /// The Region that holds the writer at the start.
    pub primary: Region,
    /// How far Holdfast goes by itself.
    pub mode: Mode,
    /// In approve mode: the countdown after which it goes on.
    pub countdown_seconds: Option<u64>,
    /// Instances of the standby cluster.
    pub standby_instances: usize,
    /// The attempts table replicates late.
    pub asynchronous_attempts: bool,
    /// How long AWS takes to promote.
    pub promotion: Duration,
    /// What the person on call does with a page that asks.
    pub person: Person,
    /// What goes wrong, in order of its beginning.
    pub faults: Vec<Fault>,
}

/// The person on call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// Asleep, on a mountain, out of battery.
    Absent,
    /// Approves so long after reading.
    Approves(Duration),
    /// Vetoes so long after reading.
    Vetoes(Duration),
}

/// By now everything has gone wrong that will, and all of it is over but for Regions that stay dark.
pub const TROUBLES_END: Duration = Duration::from_secs(110);

/// Keeps the campaign's draws apart from those of the world under the same number.
const SALT: u64 = 0x486f_6c64_6661_7374;

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice(fastrand::Rng::with_seed(seed ^ SALT));
        let primary = if dice.one_in(4) { Region::LONDON } else { Region::DUBLIN };
        let mode = match dice.below(10) {
            0..=5 => Mode::Auto,
            6..=8 => Mode::Approve,
            _ => Mode::Observe,
        };
        let mut plan = Self {
            seed,
            primary,
            mode,
            countdown_seconds: (mode == Mode::Approve && dice.one_in(2)).then(|| 10 + dice.below(60)),
            standby_instances: if dice.one_in(15) { 0 } else { 1 + usize::from(dice.one_in(4)) },
            asynchronous_attempts: dice.one_in(6),
            promotion: dice.between(1_000, 60_000),
            person: match dice.below(4) {
                0 => Person::Absent,
                1 => Person::Vetoes(dice.between(2_000, 40_000)),
                _ => Person::Approves(dice.between(2_000, 40_000)),
            },
            faults: Vec::new(),
        };
        let begins = dice.between(11_000, 40_000);
        plan.draw_story(&mut dice, begins);
        if dice.one_in(4) {
            // Whoever drives dies on the way.
            let (region, function) = (plan.standby(), promote_aurora::FUNCTION);
            let (at, after) = (begins + dice.between(0, 20_000), dice.below(200));
            plan.add(at, Some(Duration::ZERO), Trouble::KilledAtAwait { region, function, after });
        }
        if dice.one_in(5) {
            plan.draw_replication_fault(&mut dice);
        }
        for _ in 0..dice.below(5) {
            // Half of what goes wrong besides goes wrong while it matters most.
            let matters = dice.one_in(2);
            let at = if matters { begins + dice.between(0, 22_000) } else { dice.between(0, 70_000) };
            plan.draw_side_fault(&mut dice, at);
        }
        if dice.one_in(4) {
            let at = begins + dice.between(0, 20_000);
            plan.draw_provider_fault(&mut dice, at);
        }
        plan.faults.sort_by_key(|fault| fault.from);
        plan
    }

    /// The Region that does not hold the writer at the start.
    #[must_use]
    pub fn standby(&self) -> Region {
        if self.primary == Region::DUBLIN { Region::LONDON } else { Region::DUBLIN }
    }

    /// What the night is about.
    fn draw_story(&mut self, dice: &mut Dice, begins: Duration) {
        match dice.below(100) {
            0..=39 => self.add(begins, None, Trouble::Dark(self.primary)),
            40..=53 => self.add(begins, Some(dice.between(3_000, 65_000)), Trouble::Dark(self.primary)),
            54..=59 => {
                // It flaps.
                for flap in 0..2 + dice.below(3) {
                    let at = begins + Duration::from_millis(flap * 16_000 + dice.below(4_000));
                    self.add(at, Some(dice.between(1_000, 12_000)), Trouble::Dark(self.primary));
                }
            }
            60..=65 => self.add(begins, Some(dice.between(20_000, 65_000)), Trouble::Dark(self.standby())),
            66..=69 => self.add(begins, Some(dice.between(20_000, 65_000)), Trouble::Dark(Region::FRANKFURT)),
            70..=82 => {
                // A partition of any shape, GitHub's 43 seconds long.
                for (from, to) in links() {
                    if dice.one_in(3) {
                        self.add(begins, Some(Duration::from_secs(43)), Trouble::Cut { from, to });
                    }
                }
                // The observer that could say that its Region lives is lost besides.
                if dice.one_in(3) {
                    let (region, function) = (self.primary, observe_region::FUNCTION);
                    self.add(begins, Some(Duration::ZERO), Trouble::Killed { region, function });
                }
            }
            83..=87 => self.add(begins, Some(dice.between(30_000, 65_000)), Trouble::WritesBroken(self.primary)),
            88..=91 => self.add(begins, Some(dice.between(30_000, 65_000)), Trouble::FrontDoorClosed(self.primary)),
            92..=97 => {
                self.add(begins, Some(Duration::ZERO), Trouble::Asked { to: self.standby(), what: Ask::Switchover });
                if dice.one_in(3) {
                    self.add(begins + dice.between(500, 30_000), None, Trouble::Dark(self.primary));
                }
            }
            98 => self.add(begins, Some(Duration::ZERO), Trouble::Asked { to: self.standby(), what: Ask::Failover }),
            _ => {}
        }
    }

    /// What goes wrong besides.
    fn draw_side_fault(&mut self, dice: &mut Dice, begins: Duration) {
        let lasts = dice.between(2_000, 30_000);
        let region = dice.pick(&REGIONS);
        let data = dice.pick(&[self.primary, self.standby(), self.standby()]);
        let once = Some(Duration::ZERO);
        let function = dice.pick(&[promote_aurora::FUNCTION, page_humans::FUNCTION, observe_region::FUNCTION]);
        let at = if function == promote_aurora::FUNCTION { data } else { region };
        match dice.below(25) {
            0..=6 => {
                let service = dice.pick(&["rds", "rds", "dynamodb", "dynamodb", "events", "sns", "monitoring"]);
                let to = if service == "rds" { data } else { region };
                let permille = dice.pick(&[200, 500, 1000]);
                let effect = dice.effect(service);
                self.add(begins, Some(lasts), Trouble::Calls { service, to, permille, effect });
            }
            7 | 8 => {
                let (from, to) = dice.pick(&links());
                self.add(begins, Some(lasts), Trouble::Cut { from, to });
            }
            9..=11 => {
                let chaos = DeliveryChaos {
                    duplicated_permille: dice.pick(&[0, 300, 1000]),
                    late_permille: dice.pick(&[0, 300, 1000]),
                    late_max: dice.pick(&[Duration::from_secs(8), Duration::from_secs(300)]),
                    lost_permille: dice.pick(&[0, 100, 500]),
                };
                self.add(begins, Some(lasts), Trouble::Delivery(chaos));
            }
            12 | 13 => {
                let ms = dice.pick(&[-30_000, -12_000, -3_000, 3_000, 12_000, 30_000]);
                self.add(Duration::ZERO, None, Trouble::ClockSkew { region, ms });
            }
            14 => {
                let begins = if dice.one_in(2) { Duration::ZERO } else { begins };
                self.add(begins, Some(lasts), Trouble::Lag(dice.between(1_000, 240_000)));
            }
            15 => self.add(Duration::ZERO, None, Trouble::LateEffects(dice.between(500, 7_000))),
            16 | 17 => self.add(begins, once, Trouble::Killed { region: at, function }),
            18 | 19 => {
                let after = dice.below(120);
                self.add(begins, once, Trouble::KilledAtAwait { region: at, function, after });
            }
            20 => self.add(begins, once, Trouble::StartedTwice { region: data }),
            21 => {
                let limit = dice.pick(&[Duration::from_secs(25), Duration::from_secs(40)]);
                self.add(Duration::ZERO, None, Trouble::TimedOut { region: data, limit });
            }
            22 => {
                self.add(begins, once, Trouble::Alarm("ALARM"));
                self.add(begins + lasts, once, Trouble::Alarm("OK"));
            }
            23 => self.add(Duration::ZERO, None, Trouble::Unmeasured),
            _ => self.add(begins, once, Trouble::Asked { to: data, what: Ask::Freeze }),
        }
    }

    /// A store stops to replicate, early enough for somebody to see it.
    fn draw_replication_fault(&mut self, dice: &mut Dice) {
        let (at, lasts) = (dice.between(0, 20_000), dice.between(20_000, 100_000));
        let region = dice.pick(&DATA_REGIONS);
        let to = if region == Region::DUBLIN { Region::LONDON } else { Region::DUBLIN };
        let trouble = match dice.below(5) {
            0 | 1 => Trouble::StoreHeld { store: Store::Ledger, from: self.primary, to: self.standby() },
            2 if self.asynchronous_attempts => Trouble::StoreHeld { store: Store::Attempts, from: region, to },
            2 => Trouble::ReplicaWithoutKey(self.standby()),
            3 => Trouble::StoreHeld { store: Store::Receipts, from: region, to },
            _ => Trouble::ReceiptsRuleGone(region),
        };
        self.add(at, Some(lasts), trouble);
    }

    /// Those who call people are unwell, or the secrets without which they take nothing.
    fn draw_provider_fault(&mut self, dice: &mut Dice, begins: Duration) {
        let lasts = Some(dice.between(2_000, 60_000));
        let late = dice.between(500, 4_000);
        let path = dice.pick(&[PAGERDUTY.1, PAGERDUTY.1, CHAT.1, WEBHOOK.1]);
        let effect = dice.pick(&[
            CallEffect::Error { status: 429, code: "TooManyRequests" },
            CallEffect::Error { status: 503, code: "ServiceUnavailable" },
            CallEffect::Hang,
            CallEffect::LoseAnswer,
            CallEffect::Duplicate,
            CallEffect::Delay(late),
        ]);
        self.add(begins, lasts, Trouble::Provider { path, effect });
        if dice.one_in(4) {
            let (service, to) = ("secretsmanager", dice.pick(&REGIONS));
            let effect = dice.effect(service);
            self.add(Duration::ZERO, Some(begins), Trouble::Calls { service, to, permille: 1000, effect });
        }
    }

    fn add(&mut self, from: Duration, lasts: Option<Duration>, trouble: Trouble) {
        let until = lasts.map(|lasts| (from + lasts).min(TROUBLES_END));
        self.faults.push(Fault { from, until, trouble });
    }
}

/// Every directed link between two Regions.
fn links() -> [(Region, Region); 6] {
    let [one, other, witness] = REGIONS;
    [(one, other), (other, one), (one, witness), (witness, one), (other, witness), (witness, other)]
}

/// Draws from the seed.
struct Dice(fastrand::Rng);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.u64(0..bound)
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn between(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        Duration::from_millis(self.0.u64(least_ms..most_ms))
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.0.usize(0..from.len())]
    }

    /// What a control plane or a store does when it is unwell.
    fn effect(&mut self, service: &str) -> CallEffect {
        let throttled = if service == "rds" || service == "sns" { "Throttling" } else { "ThrottlingException" };
        let failing = if service == "dynamodb" { "InternalServerError" } else { "ServiceUnavailable" };
        let slow = Duration::from_millis(self.0.u64(500..9_000));
        self.pick(&[
            CallEffect::Error { status: 400, code: throttled },
            CallEffect::Error { status: 503, code: failing },
            CallEffect::LoseRequest,
            CallEffect::LoseAnswer,
            CallEffect::Hang,
            CallEffect::Delay(slow),
            CallEffect::Duplicate,
        ])
    }
}
