//! What the command was asked for.

use sim::{Kind, Plan};

/// For people.
pub(crate) const USAGE: &str = "usage: tricord-sim [OPTION…]
  --seed N        one seed
  --from N        the first of many (1)
  --count N       how many (20)
  --seconds N     as many as this takes, instead of a number
  --minutes N     the same in minutes
  --keep FILE     add seeds that fail to this file
  --trace         print what happens
  --safety-ms N   how long faults go on in each (12000)
  --faults A,B    only these faults, by their names
  --little-log    frequent snapshots, little log kept
  --lazy-flushes  little log kept, the state seldom made durable";

/// What was asked for.
pub(crate) struct Args {
    pub(crate) from: u64,
    pub(crate) count: u64,
    pub(crate) seconds: Option<u64>,
    pub(crate) keep: Option<String>,
    trace: bool,
    safety_ms: Option<u64>,
    faults: Option<Vec<Kind>>,
    little: bool,
    lazy: bool,
}

impl Args {
    /// None: there is no such option. A later `--seed` counts, whatever came before.
    pub(crate) fn parse(words: &[String]) -> Option<Self> {
        let (from, count, seconds, keep) = (1, 20, None, None);
        let mut args = Self {
            from,
            count,
            seconds,
            keep,
            trace: false,
            safety_ms: None,
            faults: None,
            little: false,
            lazy: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut text = || words.next().cloned();
            match word.as_str() {
                "--seed" => (args.from, args.count) = (text()?.parse().ok()?, 1),
                "--from" => args.from = text()?.parse().ok()?,
                "--count" => args.count = text()?.parse().ok()?,
                "--seconds" => (args.seconds, args.count) = (Some(text()?.parse().ok()?), u64::MAX),
                "--minutes" => (args.seconds, args.count) = (Some(60 * text()?.parse::<u64>().ok()?), u64::MAX),
                "--keep" => args.keep = Some(text()?),
                "--safety-ms" => args.safety_ms = Some(text()?.parse().ok()?),
                "--faults" => args.faults = Some(text()?.split(',').map(Kind::named).collect::<Option<_>>()?),
                "--little-log" => args.little = true,
                "--lazy-flushes" => args.lazy = true,
                "--trace" => args.trace = true,
                _ => return None,
            }
        }
        Some(args)
    }

    /// The run of the first seed.
    pub(crate) fn plan(&self) -> Plan {
        let mut plan = Plan::of(self.from);
        plan.aloud = self.trace;
        plan.safety_ms = self.safety_ms.unwrap_or(plan.safety_ms);
        plan.faults = self.faults.clone().unwrap_or(plan.faults);
        match (self.little, self.lazy) {
            (_, true) => plan.with_lazy_flushes(),
            (true, false) => plan.with_little_log(),
            (false, false) => plan,
        }
    }

    /// What has to be said again beside the seed.
    pub(crate) fn again(&self) -> String {
        let mut said = String::new();
        if let Some(ms) = self.safety_ms {
            said.push_str(&format!("--safety-ms {ms} "));
        }
        if let Some(faults) = &self.faults {
            let names: Vec<String> = faults.iter().map(|kind| format!("{kind:?}")).collect();
            said.push_str(&format!("--faults {} ", names.join(",")));
        }
        if self.little {
            said.push_str("--little-log ");
        }
        if self.lazy {
            said.push_str("--lazy-flushes ");
        }
        said
    }
}
