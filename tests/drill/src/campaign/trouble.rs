//! The troubles that a plan is made of: what each does to the world, and its sentence.

use std::fmt;
use std::time::Duration;

use holdfast_domain::replication::Store;
use holdfast_payments::service::{ATTEMPTS_TABLE, bucket};
use holdfast_world::dynamodb::{self, ReplicaState};
use holdfast_world::events::DeliveryChaos;
use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
use holdfast_world::{Region, World, aurora, rds, s3};
use serde_json::json;

use crate::deployment::{Deployment, whole_rule};
use crate::scenario::ask;

/// One trouble in its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When it begins, since the start.
    pub from: Duration,
    /// When it is over, since the start; `None` when it lasts.
    pub until: Option<Duration>,
    /// What it is.
    pub trouble: Trouble,
}

/// Something that goes wrong, or that a person asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing in the Region works.
    Dark(Region),
    /// Packets one way are lost.
    Cut {
        /// From here.
        from: Region,
        /// To there.
        to: Region,
    },
    /// The Region answers, but its database connections fail.
    WritesBroken(Region),
    /// Nothing gets through the Region's load balancer; all behind it works.
    FrontDoorClosed(Region),
    /// Aurora's replication is this far behind.
    Lag(Duration),
    /// A store's replication one way is held back.
    StoreHeld {
        /// Which.
        store: Store,
        /// From here.
        from: Region,
        /// To there.
        to: Region,
    },
    /// No rule replicates this Region's receipts.
    ReceiptsRuleGone(Region),
    /// This Region's replica of the attempts has lost its key: it neither answers nor replicates.
    ReplicaWithoutKey(Region),
    /// CloudWatch has no point of the replication lag.
    Unmeasured,
    /// Control planes and stores that are unwell.
    Calls {
        /// The service's endpoint prefix.
        service: &'static str,
        /// In which Region.
        to: Region,
        /// How many calls of a thousand.
        permille: u64,
        /// What becomes of them.
        effect: CallEffect,
    },
    /// A provider that calls people is unwell.
    Provider {
        /// Which, by the path of its events.
        path: &'static str,
        /// What becomes of what it is sent.
        effect: CallEffect,
    },
    /// Events that come twice, late, in another order, or never.
    Delivery(DeliveryChaos),
    /// A Region's clocks are ahead, or (negative) behind.
    ClockSkew {
        /// Where.
        region: Region,
        /// By so many milliseconds.
        ms: i64,
    },
    /// RDS shows the effect of a call so much later.
    LateEffects(Duration),
    /// A function's running invocations die.
    Killed {
        /// Where.
        region: Region,
        /// Which.
        function: &'static str,
    },
    /// A function dies at the await of that number from then on.
    KilledAtAwait {
        /// Where.
        region: Region,
        /// Which.
        function: &'static str,
        /// Counted from 0.
        after: u64,
    },
    /// promote-aurora is started twice at the same moment.
    StartedTwice {
        /// Where.
        region: Region,
    },
    /// Lambda ends promote-aurora after this time: many runs where one would do.
    TimedOut {
        /// Where.
        region: Region,
        /// The time-out.
        limit: Duration,
    },
    /// The Route 53 alarm says this, whatever is true.
    Alarm(&'static str),
    /// A person asks promote-aurora for something.
    Asked {
        /// In this Region.
        to: Region,
        /// For this.
        what: Ask,
    },
}

/// What a person asks for unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A planned move.
    Switchover,
    /// A failover by hand, with no guard overridden.
    Failover,
    /// That nothing is done.
    Freeze,
}

impl Fault {
    /// Whether it is going on at that time.
    #[must_use]
    pub fn is_on(&self, at: Duration) -> bool {
        at >= self.from && self.until.is_none_or(|until| at < until)
    }

    /// Puts it into the world's future.
    pub(crate) fn schedule(&self, deployment: &Deployment) {
        let world = &deployment.world;
        let Self { from, until, trouble } = *self;
        let during = from..until.unwrap_or(Duration::MAX);
        let turn = |on: Box<dyn FnOnce(&World) + Send>, off: Box<dyn FnOnce(&World) + Send>| {
            world.after(from, on);
            if let Some(until) = until {
                world.after(until, off);
            }
        };
        match trouble {
            Trouble::Dark(region) => {
                turn(Box::new(move |world| world.go_dark(region)), Box::new(move |world| world.come_back(region)));
            }
            Trouble::Cut { from, to } => {
                turn(Box::new(move |world| world.cut_link(from, to)), Box::new(move |world| world.mend_link(from, to)));
            }
            Trouble::WritesBroken(region) | Trouble::FrontDoorClosed(region) => {
                let Some(service) = deployment.services.get(&region) else { return };
                let (on, off) = (service.clone(), service.clone());
                if matches!(trouble, Trouble::WritesBroken(_)) {
                    turn(Box::new(move |_| on.break_writes(true)), Box::new(move |_| off.break_writes(false)));
                } else {
                    turn(Box::new(move |_| on.close_front_door(true)), Box::new(move |_| off.close_front_door(false)));
                }
            }
            Trouble::Lag(lag) => {
                let normal = deployment.lag;
                turn(
                    Box::new(move |world| aurora::set_lag(world, lag)),
                    Box::new(move |world| aurora::set_lag(world, normal)),
                );
            }
            Trouble::StoreHeld { store, from, to } => {
                let hold = move |world: &World, held| match store {
                    Store::Ledger => aurora::hold_replication(world, held),
                    Store::Attempts => dynamodb::pause_replication(world, ATTEMPTS_TABLE, from, to, held),
                    Store::Receipts => s3::pause_replication(world, bucket(from), bucket(to), held),
                };
                turn(Box::new(move |world| hold(world, true)), Box::new(move |world| hold(world, false)));
            }
            Trouble::ReceiptsRuleGone(region) => {
                let to = if region == Region::DUBLIN { Region::LONDON } else { Region::DUBLIN };
                turn(
                    Box::new(move |world| s3::set_rule(world, bucket(region), None)),
                    Box::new(move |world| s3::set_rule(world, bucket(region), Some(whole_rule(to)))),
                );
            }
            Trouble::ReplicaWithoutKey(region) => turn(
                Box::new(move |world| {
                    let status = "INACCESSIBLE_ENCRYPTION_CREDENTIALS";
                    let state = ReplicaState { status, inaccessible_since: Some(world.now()) };
                    dynamodb::set_replica_state(world, ATTEMPTS_TABLE, region, Some(state));
                }),
                Box::new(move |world| dynamodb::set_replica_state(world, ATTEMPTS_TABLE, region, None)),
            ),
            Trouble::Unmeasured => aurora::stop_measuring(world),
            Trouble::Calls { service, to, permille, effect } => {
                let matches = CallMatch { service: Some(service), to: Some(to), ..CallMatch::default() };
                world.inject(CallFault::during(matches, during, permille, effect));
            }
            Trouble::Provider { path, effect } => {
                let matches = CallMatch { service: Some("http"), operation: Some(path), ..CallMatch::default() };
                world.inject(CallFault::during(matches, during, 1000, effect));
            }
            Trouble::Delivery(chaos) => turn(
                Box::new(move |world| world.set_delivery_chaos(chaos)),
                Box::new(|world| world.set_delivery_chaos(DeliveryChaos::default())),
            ),
            Trouble::ClockSkew { region, ms } => world.set_skew_ms(region, ms),
            Trouble::LateEffects(by) => rds::show_effects_late(world, by),
            Trouble::Killed { region, function } => world.after(from, move |world| {
                world.kill_function(region, function);
            }),
            Trouble::KilledAtAwait { region, function, after } => {
                world.after(from, move |world| world.kill_at_await(region, function, after));
            }
            Trouble::StartedTwice { region } => world.after(from, move |world| {
                for _ in 0..2 {
                    world.invoke_async(region, promote_aurora::FUNCTION, r#"{"action":"resume"}"#.into());
                }
            }),
            Trouble::TimedOut { region, limit } => world.set_timeout(region, promote_aurora::FUNCTION, limit),
            Trouble::Alarm(value) => world.after(from, move |world| {
                world.set_alarm_state(Region::N_VIRGINIA, "dublin-health-check", value, "the campaign says so");
            }),
            Trouble::Asked { to, what } => world.after(from, move |world| {
                ask(
                    world,
                    to,
                    match what {
                        Ask::Switchover => json!({"action": "switchover", "to": to.as_str(), "by": "ada"}),
                        Ask::Failover => json!({"action": "failover", "to": to.as_str(), "by": "ada"}),
                        Ask::Freeze => json!({"action": "freeze", "by": "ada", "reason": "a release is under way"}),
                    },
                );
            }),
        }
    }
}

impl Trouble {
    /// The column of the summary that it counts in.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dark(_) => "Region dark",
            Self::Cut { .. } => "link cut one way",
            Self::WritesBroken(_) => "grey writer",
            Self::FrontDoorClosed(_) => "front door closed",
            Self::Lag(_) => "replication behind",
            Self::StoreHeld { .. } | Self::ReceiptsRuleGone(_) => "a store held back",
            Self::ReplicaWithoutKey(_) => "a replica without its key",
            Self::Unmeasured => "lag not measured",
            Self::Calls { effect, .. } => match effect {
                CallEffect::Error { status: 400, .. } => "calls throttled",
                CallEffect::Error { .. } => "calls failing",
                CallEffect::LoseRequest => "requests lost",
                CallEffect::LoseAnswer => "answers lost after the effect",
                CallEffect::Hang => "calls never answered",
                CallEffect::Delay(_) => "answers slow",
                CallEffect::Duplicate => "requests doubled",
                CallEffect::KillBefore | CallEffect::KillAfter => "callers killed",
            },
            Self::Provider { .. } => "a provider unwell",
            Self::Delivery(_) => "events doubled, late, lost",
            Self::ClockSkew { .. } => "clock skew",
            Self::LateEffects(_) => "effects shown late",
            Self::Killed { .. } => "function killed",
            Self::KilledAtAwait { .. } => "function killed at an await",
            Self::StartedTwice { .. } => "started twice at once",
            Self::TimedOut { .. } => "function timed out",
            Self::Alarm(_) => "alarm flaps",
            Self::Asked { what: Ask::Switchover, .. } => "switchover asked",
            Self::Asked { what: Ask::Failover, .. } => "failover asked",
            Self::Asked { what: Ask::Freeze, .. } => "freeze asked",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |at: Duration| format!("{}.{:03}", at.as_secs(), at.subsec_millis());
        match self.until {
            Some(until) if until == self.from => write!(f, "at {} s", s(self.from))?,
            Some(until) => write!(f, "from {} to {} s", s(self.from), s(until))?,
            None => write!(f, "from {} s on", s(self.from))?,
        }
        write!(f, ": {}", self.trouble)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dark(region) => write!(f, "{region} is dark"),
            Self::Cut { from, to } => write!(f, "packets from {from} to {to} are lost"),
            Self::WritesBroken(region) => write!(f, "{region} answers, but its database connections fail"),
            Self::FrontDoorClosed(region) => write!(f, "nothing gets through the load balancer of {region}"),
            Self::Lag(lag) => write!(f, "replication is {} ms behind", lag.as_millis()),
            Self::StoreHeld { store, from, to } => {
                write!(f, "replication of the {store} from {from} to {to} is held back")
            }
            Self::ReceiptsRuleGone(region) => write!(f, "no rule replicates the receipts of {region}"),
            Self::ReplicaWithoutKey(region) => write!(f, "the replica of the attempts in {region} has lost its key"),
            Self::Unmeasured => f.write_str("the replication lag is not measured"),
            Self::Calls { service, to, permille, effect } => {
                write!(f, "{permille} of 1000 calls to {service} in {to}: {effect:?}")
            }
            Self::Provider { path, effect } => write!(f, "who is called at {path}: {effect:?}"),
            Self::Delivery(chaos) => write!(
                f,
                "of 1000 events {} come twice, {} up to {} s late, {} never",
                chaos.duplicated_permille,
                chaos.late_permille,
                chaos.late_max.as_secs(),
                chaos.lost_permille
            ),
            Self::ClockSkew { region, ms } => write!(f, "the clocks of {region} are {ms} ms ahead"),
            Self::LateEffects(by) => write!(f, "RDS shows effects {} ms late", by.as_millis()),
            Self::Killed { region, function } => write!(f, "{function} in {region} is killed"),
            Self::KilledAtAwait { region, function, after } => {
                write!(f, "{function} in {region} is killed at its {after}. await from then")
            }
            Self::StartedTwice { region } => write!(f, "promote-aurora in {region} is started twice at once"),
            Self::TimedOut { region, limit } => {
                write!(f, "Lambda ends promote-aurora in {region} after {} s", limit.as_secs())
            }
            Self::Alarm(value) => write!(f, "the Route 53 alarm says {value}"),
            Self::Asked { to, what } => write!(f, "a person asks {to} for a {what:?}"),
        }
    }
}
