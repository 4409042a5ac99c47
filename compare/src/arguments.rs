//! The command line: a word for the children, and options with values.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What may be given, for the message about anything else.
pub const OPTIONS: &str = "--w 0,1,2,3,4,5,6,run,faults --rounds N --scale PERCENT --peers A,B --limit SECONDS --data DIR \
     --out FILE --in FILE --command TAFFRAIL --assert --publish --render";

const OWN: [&str; 9] = ["w", "rounds", "scale", "peers", "limit", "data", "out", "in", "command"];
/// Those without a value.
const FLAGS: [&str; 3] = ["assert", "publish", "render"];
const OF_CHILDREN: [&str; 9] = ["op", "peer", "dir", "size", "n", "threads", "lookups", "append", "close"];

/// See the module.
#[derive(Default)]
pub struct Arguments {
    pub word: String,
    flags: Vec<String>,
    values: BTreeMap<String, String>,
}

impl Arguments {
    pub fn parse(given: impl Iterator<Item = String>) -> Result<Arguments> {
        let mut arguments = Arguments::default();
        let mut given = given.peekable();
        if let Some(word) = given.next_if(|word| !word.starts_with('-')) {
            arguments.word = word;
        }
        while let Some(option) = given.next() {
            let name = option.strip_prefix("--").unwrap_or(&option).to_owned();
            if FLAGS.contains(&name.as_str()) {
                arguments.flags.push(name);
                continue;
            }
            if !OWN.contains(&name.as_str()) && !OF_CHILDREN.contains(&name.as_str()) {
                bail!("{option:?}: the options are {OPTIONS}");
            }
            let value = given.next().with_context(|| format!("{option} takes a value"))?;
            arguments.values.insert(name, value);
        }
        if arguments.number("scale", 100)? == 0 || arguments.number("rounds", 5)? == 0 {
            bail!("--scale and --rounds are at least 1");
        }
        Ok(arguments)
    }

    /// Whether an option without a value is there.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|given| given == flag)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub fn needed(&self, name: &str) -> Result<&str> {
        self.get(name).with_context(|| format!("--{name} is missing"))
    }

    pub fn number(&self, name: &str, otherwise: u64) -> Result<u64> {
        self.get(name).map_or(Ok(otherwise), |text| text.parse().with_context(|| format!("--{name} {text}")))
    }

    /// Where the stores that are measured lie: on the file system that is measured.
    pub fn data(&self) -> PathBuf {
        self.get("data").map_or_else(|| std::env::temp_dir().join("taffrail-compare"), PathBuf::from)
    }

    /// The workloads that are asked for.
    fn workloads(&self) -> &str {
        self.get("w").unwrap_or("0,1,2,3,4,5,6,run,faults")
    }

    /// Whether a workload is asked for.
    pub fn wants(&self, workload: &str) -> bool {
        self.workloads().split(',').any(|wanted| wanted == workload)
    }

    /// Whether a peer is asked for.
    pub fn wants_peer(&self, peer: &str) -> bool {
        self.get("peers").is_none_or(|peers| peers.split(',').any(|wanted| wanted == peer))
    }
}
