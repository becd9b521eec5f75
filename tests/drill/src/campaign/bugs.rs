//! Deliberate bugs. Each is a mistake that somebody could make in Holdfast; the campaign must find every one of them,
//! or an invariant is missing. They are planted on the wire, in the policy or in the installation, never in the product.

use bytes::Bytes;
use holdfast_domain::policy::Mode;
use holdfast_payments::service::ShortCut;
use holdfast_world::Region;
use holdfast_world::tamper::{Tamper, TamperAnswer, TamperRequest, Wired};
use serde_json::{Map, Value, json};

use crate::deployment::{InstallationBug, Setup, TABLE};

/// One deliberate bug.
#[derive(Clone, Copy, Debug)]
pub struct Bug {
    /// What it is called on the command line.
    pub name: &'static str,
    /// The mistake, in a sentence.
    pub about: &'static str,
    plant: Plant,
}

#[derive(Clone, Copy, Debug)]
enum Plant {
    /// What the functions send is changed.
    Request(TamperRequest),
    /// What the functions are told is changed.
    Answer(TamperAnswer),
    /// What is installed is changed.
    Setup(fn(&mut Setup)),
}

impl Bug {
    /// The bug of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        BUGS.iter().find(|bug| bug.name == name)
    }

    pub(crate) fn change(&self, setup: &mut Setup) {
        if let Plant::Setup(change) = self.plant {
            change(setup);
        }
    }

    pub(crate) fn tamper(&self) -> Tamper {
        match self.plant {
            Plant::Request(request) => Tamper { request: Some(request), answer: None },
            Plant::Answer(answer) => Tamper { request: None, answer: Some(answer) },
            Plant::Setup(_) => Tamper::default(),
        }
    }
}

/// Every deliberate bug.
pub const BUGS: &[Bug] = &[
    Bug {
        name: "drop-allow-data-loss",
        about: "AllowDataLoss is dropped: the failover is a switchover that waits for the dead",
        plant: Plant::Request(|_, wired, request| {
            edit_form(wired, request, "FailoverGlobalCluster", |form| form.retain(|(name, _)| name != "AllowDataLoss"))
        }),
    },
    Bug {
        name: "bare-identifier",
        about: "the target is a bare identifier and not an ARN",
        plant: Plant::Request(|_, wired, request| {
            edit_form(wired, request, "FailoverGlobalCluster", |form| {
                for (_, value) in form.iter_mut().filter(|(name, _)| name == "TargetDbClusterIdentifier") {
                    *value = value.rsplit(':').next().unwrap_or_default().to_owned();
                }
            })
        }),
    },
    Bug {
        name: "ask-the-dark-region",
        about: "the failover is asked in the Region that is gone",
        plant: Plant::Request(|_, wired, _| {
            Some(if wired.operation == "FailoverGlobalCluster" { other_data_region(wired.to) } else { wired.to })
        }),
    },
    Bug {
        name: "fail-over-when-asked-to-switch-over",
        about: "a planned move is carried out as a failover",
        plant: Plant::Request(|_, wired, request| {
            edit_form(wired, request, "SwitchoverGlobalCluster", |form| {
                for (_, value) in form.iter_mut().filter(|(name, _)| name == "Action") {
                    *value = "FailoverGlobalCluster".to_owned();
                }
                form.push(("AllowDataLoss".to_owned(), "true".to_owned()));
            })
        }),
    },
    Bug {
        name: "skip-the-version",
        about: "the shared state is written without its condition: two drivers overwrite each other",
        plant: Plant::Request(|_, wired, request| {
            edit_put(wired, request, "cluster#", |put| {
                put.remove("ConditionExpression");
                put.remove("ExpressionAttributeNames");
                put.remove("ExpressionAttributeValues");
            })
        }),
    },
    Bug {
        name: "skip-the-lease",
        about: "an incident is taken over at once, without waiting for its driver's silence",
        plant: Plant::Answer(|_, wired, response| {
            edit_item(wired, response, "cluster#", |state| drop(state.insert("driver".into(), Value::Null)));
        }),
    },
    Bug {
        name: "lease-shorter-than-the-heartbeat",
        about: "a driver that lives is taken for dead",
        plant: Plant::Setup(|setup| setup.config.policy.driver_lease_seconds = 1),
    },
    Bug {
        name: "never-take-over",
        about: "a driver that died is held to be alive for ever",
        plant: Plant::Answer(|world, wired, response| {
            let pulse = world.elapsed().as_secs();
            edit_item(wired, response, "cluster#", |state| {
                if state.get("driver").is_some_and(Value::is_string) {
                    state.insert("version".into(), json!(1_000_000 + pulse));
                }
            });
        }),
    },
    Bug {
        name: "resume-from-the-start",
        about: "whoever takes an incident over begins it again",
        plant: Plant::Answer(|_, wired, response| {
            let me = format!("{}-{}", wired.caller.region, wired.caller.invocation.unwrap_or_default());
            edit_item(wired, response, "cluster#", |state| {
                let others = state.get("driver").and_then(Value::as_str).is_some_and(|driver| driver != me);
                if let Some(incident) = state.get_mut("incident").and_then(Value::as_object_mut).filter(|_| others) {
                    incident.insert("phase".into(), json!("Suspected"));
                    incident.insert("order".into(), Value::Null);
                    incident.insert("intent".into(), Value::Null);
                }
            });
        }),
    },
    Bug {
        name: "forget-the-intent",
        about: "the intent is not recorded before the call",
        plant: Plant::Request(|_, wired, request| {
            edit_saved_incident(wired, request, |incident| drop(incident.insert("intent".into(), Value::Null)))
        }),
    },
    Bug {
        name: "skip-the-fence",
        about: "the epoch is never raised: the old writer's lease goes on",
        plant: Plant::Request(|_, wired, request| {
            let fences = puts(wired, request, "writer#").is_some();
            (!fences).then_some(wired.to)
        }),
    },
    Bug {
        name: "toggle-the-writer",
        about: "the fence turns the writer to the other Region, whichever that is, instead of naming it",
        plant: Plant::Request(|world, wired, request| {
            let stored = holdfast_world::dynamodb::all_items(world, TABLE);
            let stored = stored.iter().find_map(|item| Region::named(item.get("writer_region")?["S"].as_str()?));
            edit_put(wired, request, "writer#", |put| {
                if let Some(writer) = stored {
                    put["Item"]["writer_region"] = json!({"S": other_data_region(writer).as_str()});
                }
            })
        }),
    },
    Bug {
        name: "believe-without-writing",
        about: "writes are said to work without a fence row",
        plant: Plant::Setup(|setup| setup.bug = Some(InstallationBug::FenceRowsSkipped)),
    },
    Bug {
        name: "quorum-of-one",
        about: "what one observer sees is taken for what both see",
        plant: Plant::Answer(|_, wired, response| {
            edit_votes(wired, response, |votes| {
                let saw = |vote: &Value| vote["observer"] == "eu-west-2" || vote["observer"] == "eu-west-1";
                let peer: Vec<Value> = votes.iter().filter(|vote| saw(vote)).cloned().collect();
                for vote in votes.iter_mut().filter(|vote| vote["observer"] == "eu-central-1") {
                    for subject in ["eu-west-1", "eu-west-2"] {
                        let seen_by = peer.iter().find(|it| it["observer"] != subject);
                        if let Some(sighting) = seen_by.and_then(|it| it["subjects"].get(subject)) {
                            vote["subjects"][subject] = sighting.clone();
                        }
                    }
                }
            });
        }),
    },
    Bug {
        name: "ignore-signs-of-life",
        about: "a Region that cannot be reached is held to be dead although it goes on voting",
        plant: Plant::Answer(|_, wired, response| {
            let here = wired.caller.region.as_str();
            edit_votes(wired, response, |votes| {
                votes.retain(|vote| vote["observer"] == here || vote["observer"] == "eu-central-1");
            });
        }),
    },
    Bug {
        name: "missing-lag-is-zero",
        about: "a metric without a point is read as no lag at all",
        plant: Plant::Request(|world, wired, _| {
            if wired.operation == "GetMetricData" {
                for from in [Region::DUBLIN, Region::LONDON] {
                    let cluster = format!("payments-{}", wired.to);
                    let dimensions = [("DBClusterIdentifier", cluster.as_str()), ("SourceRegion", from.as_str())];
                    world.put_metric(wired.to, "AWS/RDS", "AuroraGlobalDBRPOLag", &dimensions, 0.0);
                }
            }
            Some(wired.to)
        }),
    },
    Bug {
        name: "any-lag-will-do",
        about: "the bound of the lag that was accepted is not looked at",
        plant: Plant::Setup(|setup| {
            if let Some(standing) = &mut setup.config.policy.standing_acceptance {
                standing.lag_max_seconds = 86_400;
            }
        }),
    },
    Bug {
        name: "no-lag-is-fresh-enough",
        about: "a guard asks for a younger metric than CloudWatch ever has, and nothing is ever promoted",
        plant: Plant::Setup(|setup| setup.config.policy.lag_age_max_seconds = 1),
    },
    Bug {
        name: "call-a-first-count-exact",
        about: "what was counted while the old writer may still write is called exact",
        plant: Plant::Request(|_, wired, request| {
            edit_saved_incident(wired, request, |incident| {
                let count = incident.get_mut("price").and_then(Value::as_object_mut);
                if let Some(count) = count
                    && let Some(counted) = count.remove("Provisional")
                {
                    count.insert("Exact".into(), counted);
                }
            })
        }),
    },
    Bug {
        name: "what-holds-for-one-store-holds-for-all",
        about: "one store in sync is taken for all of them",
        plant: Plant::Request(|_, wired, request| {
            edit_put(wired, request, "replication#", |put| {
                edit_body(&mut put["Item"], |record| {
                    let Some(links) = record.get_mut("links").and_then(Value::as_array_mut) else { return };
                    let well = |link: &&Value| link["verdict"]["state"].get("InSync").is_some();
                    let Some(verdict) = links.iter().find(well).map(|link| link["verdict"].clone()) else { return };
                    links.iter_mut().for_each(|link| link["verdict"] = verdict.clone());
                });
            })
        }),
    },
    Bug {
        name: "promote-a-headless-cluster",
        about: "a cluster without an instance is promoted",
        plant: Plant::Answer(|_, wired, response| {
            let none = "<DBInstances></DBInstances>";
            let text = String::from_utf8_lossy(response.body()).into_owned();
            if wired.operation == "DescribeDBInstances" && text.contains(none) {
                let one = "<DBInstances><DBInstance><DBInstanceIdentifier>payments-1</DBInstanceIdentifier><DBInstanceStatus>available</DBInstanceStatus></DBInstance></DBInstances>";
                *response.body_mut() = Bytes::from(text.replace(none, one));
            }
        }),
    },
    Bug {
        name: "store-nothing",
        about: "payments are acknowledged before their outcome is stored and marked",
        plant: Plant::Setup(|setup| setup.bug = Some(InstallationBug::Payments(ShortCut::NothingStored))),
    },
    Bug {
        name: "charge-again",
        about: "a second try is charged without a look at the first",
        plant: Plant::Setup(|setup| setup.bug = Some(InstallationBug::Payments(ShortCut::ChargedAgain))),
    },
    Bug {
        name: "ignore-the-lease",
        about: "the old writer's Region goes on writing after its lease has run out",
        plant: Plant::Setup(|setup| setup.bug = Some(InstallationBug::Payments(ShortCut::LeaseIgnored))),
    },
    Bug {
        name: "keep-the-old-address",
        about: "the payments tier never looks the writer's name up again",
        plant: Plant::Setup(|setup| setup.bug = Some(InstallationBug::Payments(ShortCut::AddressKept))),
    },
    Bug {
        name: "forget-the-schedule",
        about: "nothing but events starts promote-aurora",
        plant: Plant::Setup(|setup| setup.bug = Some(InstallationBug::PromoterNotScheduled)),
    },
    Bug {
        name: "ask-nobody",
        about: "the policy says that a person approves, and nobody is asked",
        plant: Plant::Setup(|setup| {
            if setup.config.policy.mode == Mode::Approve {
                setup.config.policy.mode = Mode::Auto;
            }
        }),
    },
    Bug {
        name: "observe-and-act",
        about: "the policy is to observe, and something is done",
        plant: Plant::Setup(|setup| {
            if setup.config.policy.mode == Mode::Observe {
                setup.config.policy.mode = Mode::Auto;
            }
        }),
    },
    Bug {
        name: "forget-the-veto",
        about: "a veto is saved and not read again",
        plant: Plant::Answer(|_, wired, response| {
            edit_item(wired, response, "cluster#", |state| {
                if let Some(incident) = state.get_mut("incident").and_then(Value::as_object_mut) {
                    incident.insert("veto".into(), Value::Null);
                }
            });
        }),
    },
    Bug {
        name: "forget-the-freeze",
        about: "a freeze is saved and not read again",
        plant: Plant::Answer(|_, wired, response| {
            edit_item(wired, response, "cluster#", |state| drop(state.insert("freeze".into(), Value::Null)));
        }),
    },
    Bug {
        name: "page-without-a-key",
        about: "what was paged is not remembered",
        plant: Plant::Answer(|_, wired, response| {
            edit_item(wired, response, "page#", |record| {
                record.insert("sent".into(), json!([]));
                record.insert("claimed".into(), json!([]));
            });
        }),
    },
    Bug {
        name: "page-into-the-void",
        about: "the pager says that it has paged, and has not",
        plant: Plant::Request(|_, wired, _| (wired.operation != "Publish").then_some(wired.to)),
    },
    Bug {
        name: "page-through-the-dark-region",
        about: "pages go to the topic in the Region that is dark first",
        plant: Plant::Request(|_, wired, _| {
            let data = [Region::DUBLIN, Region::LONDON].contains(&wired.to);
            Some(if wired.operation == "Publish" && data { other_data_region(wired.to) } else { wired.to })
        }),
    },
    Bug {
        name: "re-open-what-is-settled",
        about: "the order of states is ignored: a late event re-opens what is settled",
        plant: Plant::Answer(|_, wired, response| {
            edit_item(wired, response, "page#", |record| drop(record.insert("highest_rank".into(), json!(0))));
        }),
    },
    Bug {
        name: "missed-is-forgotten",
        about: "a channel that did not take a page is not remembered",
        plant: Plant::Request(|_, wired, request| {
            edit_put(wired, request, "open-page#", |put| {
                edit_body(&mut put["Item"], |open| drop(open.insert("undelivered".into(), json!({}))));
            })
        }),
    },
    Bug {
        name: "doubt-in-silence",
        about: "a Region that answers and cannot write is nobody's business",
        plant: Plant::Request(|_, wired, request| {
            let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
            let doubts = wired.operation == "PutEvents" && body["Entries"][0]["DetailType"] == "RegionDoubtful";
            (!doubts).then_some(wired.to)
        }),
    },
];

fn other_data_region(region: Region) -> Region {
    if region == Region::DUBLIN { Region::LONDON } else { Region::DUBLIN }
}

/// Changes the form of one operation of the query protocol.
fn edit_form(
    wired: &Wired<'_>,
    request: &mut http::Request<Bytes>,
    operation: &str,
    change: impl FnOnce(&mut Vec<(String, String)>),
) -> Option<Region> {
    if wired.operation == operation {
        let mut form: Vec<(String, String)> = form_urlencoded::parse(request.body()).into_owned().collect();
        change(&mut form);
        *request.body_mut() = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish().into();
    }
    Some(wired.to)
}

/// The input of a `PutItem` whose partition key begins like this.
fn puts(wired: &Wired<'_>, request: &http::Request<Bytes>, key: &str) -> Option<Map<String, Value>> {
    if wired.operation != "PutItem" {
        return None;
    }
    let put: Map<String, Value> = serde_json::from_slice(request.body()).ok()?;
    put["Item"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with(key)).then_some(put)
}

fn edit_put(
    wired: &Wired<'_>,
    request: &mut http::Request<Bytes>,
    key: &str,
    change: impl FnOnce(&mut Map<String, Value>),
) -> Option<Region> {
    if let Some(mut put) = puts(wired, request, key) {
        change(&mut put);
        *request.body_mut() = Value::Object(put).to_string().into();
    }
    Some(wired.to)
}

fn edit_saved_incident(
    wired: &Wired<'_>,
    request: &mut http::Request<Bytes>,
    change: impl FnOnce(&mut Map<String, Value>),
) -> Option<Region> {
    edit_put(wired, request, "cluster#", |put| {
        edit_body(&mut put["Item"], |state| {
            if let Some(incident) = state.get_mut("incident").and_then(Value::as_object_mut) {
                change(incident);
            }
        });
    })
}

/// Changes the record inside an item.
fn edit_body(item: &mut Value, change: impl FnOnce(&mut Map<String, Value>)) {
    let body = item["body"]["S"].as_str().and_then(|text| serde_json::from_str(text).ok());
    if let Some(mut body) = body {
        change(&mut body);
        item["body"]["S"] = Value::String(Value::Object(body).to_string());
    }
}

/// Changes what `GetItem` answers for an item whose partition key begins like this.
fn edit_item(
    wired: &Wired<'_>,
    response: &mut http::Response<Bytes>,
    key: &str,
    change: impl FnOnce(&mut Map<String, Value>),
) {
    if wired.operation != "GetItem" {
        return;
    }
    let Ok(mut answer) = serde_json::from_slice::<Value>(response.body()) else { return };
    if answer["Item"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with(key)) {
        edit_body(&mut answer["Item"], change);
        *response.body_mut() = answer.to_string().into();
    }
}

/// Changes the votes that a `Query` answers.
fn edit_votes(wired: &Wired<'_>, response: &mut http::Response<Bytes>, change: impl FnOnce(&mut Vec<Value>)) {
    if wired.operation != "Query" {
        return;
    }
    let Ok(mut answer) = serde_json::from_slice::<Value>(response.body()) else { return };
    let Some(items) = answer["Items"].as_array() else { return };
    let body = |item: &Value| serde_json::from_str(item["body"]["S"].as_str()?).ok();
    let mut votes: Vec<Value> = items.iter().filter_map(body).collect();
    if votes.len() != items.len() || votes.iter().any(|vote| vote.get("observer").is_none()) {
        return;
    }
    change(&mut votes);
    let items = votes.into_iter().map(|vote| {
        let (observer, sequence) = (vote["observer"].clone(), vote["sequence"].to_string());
        json!({"pk": {"S": "vote#payments-global"}, "sk": {"S": observer}, "number": {"N": sequence}, "body": {"S": vote.to_string()}})
    });
    answer["Items"] = items.collect();
    *response.body_mut() = answer.to_string().into();
}
