//! What holds for a command: flag > environment > the store's config.toml > the user's own > default.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use taffrail::config::{
    CONFIG_FILE_NAME, CONFIG_LEN_BYTES_MAX, ReadError, RedactionConfig, RetentionConfig, Setting, Source, StoreConfig,
    SyncPolicy, UnitError, format_byte_size, format_duration, parse_lock_timeout, parse_segment_size,
};
use taffrail::redact::Redactor;
use taffrail::storage::{Disk, WrongKind};
use taffrail::{Journal, Options};

use crate::codes;
use crate::exit::Exit;
use crate::problem::{Failure, Problem};
use crate::translate;

/// The variable of `sync`.
pub const SYNC_VARIABLE: &str = "TAFFRAIL_SYNC";
/// The variable of `segment_size`.
pub const SEGMENT_SIZE_VARIABLE: &str = "TAFFRAIL_SEGMENT_SIZE";
/// The variable of `lock_timeout`.
pub const LOCK_TIMEOUT_VARIABLE: &str = "TAFFRAIL_LOCK_TIMEOUT";

/// Every setting, with who decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `sync`
    pub sync: Setting<SyncPolicy>,
    /// `segment_size`, in bytes
    pub segment_size_bytes: Setting<u64>,
    /// `lock_timeout`
    pub lock_timeout: Setting<Duration>,
    /// `[retention]`; `None` where no file has it.
    pub retention: Setting<Option<RetentionConfig>>,
    /// `[redaction]`: what any file names, with the source of the strongest that has it.
    pub redaction: Setting<RedactionConfig>,
}

impl Settings {
    /// The settings of a command on a store; `flags` is what its command line says.
    ///
    /// # Errors
    /// T0130 where a file or a variable does not hold; T0309 where a file cannot be read.
    pub fn load(flags: StoreConfig, store: &Disk) -> Result<Self, Failure> {
        let environment = from_environment(&|name| std::env::var_os(name))?;
        let of_store =
            StoreConfig::read(store).map_err(|error| unreadable(&store.path().join(CONFIG_FILE_NAME), &error))?;
        let of_user = match user_directory() {
            Some(directory) => of_user(&directory.join(CONFIG_FILE_NAME))?,
            None => StoreConfig::default(),
        };
        Ok(Self::layered(flags, environment, of_store, of_user))
    }

    fn layered(flags: StoreConfig, environment: StoreConfig, of_store: StoreConfig, of_user: StoreConfig) -> Self {
        let layers = [
            (Source::Flag, flags),
            (Source::Environment, environment),
            (Source::Store, of_store),
            (Source::User, of_user),
        ];
        let redacting: Vec<(Source, RedactionConfig)> =
            layers.iter().filter_map(|(source, layer)| Some((*source, layer.redaction.clone()?))).collect();
        let redaction_source = redacting.first().map_or(Source::Default, |(source, _)| *source);
        let all = all_of(redacting.into_iter().map(|(_, config)| config));
        Self {
            redaction: Setting { value: all, source: redaction_source },
            sync: Setting::layered(layers.iter().map(|(source, layer)| (*source, layer.sync)), SyncPolicy::default()),
            segment_size_bytes: Setting::layered(
                layers.iter().map(|(source, layer)| (*source, layer.segment_size_bytes)),
                Options::SEGMENT_LEN_BYTES,
            ),
            lock_timeout: Setting::layered(
                layers.iter().map(|(source, layer)| (*source, layer.lock_timeout)),
                Duration::from_millis(Options::LOCK_TIMEOUT_MS),
            ),
            retention: Setting::layered(
                layers.iter().map(|(source, layer)| (*source, layer.retention.clone().map(Some))),
                None,
            ),
        }
    }

    /// How to open a journal.
    #[must_use]
    pub fn options(&self) -> Options {
        let lock_timeout_ms = u64::try_from(self.lock_timeout.value.as_millis()).unwrap_or(u64::MAX);
        Journal::options()
            .sync(self.sync.value)
            .segment_len_bytes(self.segment_size_bytes.value)
            .lock_timeout_ms(lock_timeout_ms)
    }

    /// Name, value and source of each, as `store info` shows them.
    #[must_use]
    pub fn rows(&self) -> [(&'static str, String, Source); 5] {
        [
            ("sync", self.sync.value.to_string(), self.sync.source),
            ("segment_size", format_byte_size(self.segment_size_bytes.value), self.segment_size_bytes.source),
            ("lock_timeout", format_duration(self.lock_timeout.value), self.lock_timeout.source),
            (
                "retention",
                self.retention.value.as_ref().map_or_else(|| "none".to_owned(), RetentionConfig::to_string),
                self.retention.source,
            ),
            ("redaction", self.redaction_text(), self.redaction.source),
        ]
    }

    /// Secrets that `[redaction]` names, and whose variables are not set: nothing is redacted for them.
    #[must_use]
    pub fn unset_secrets(&self) -> Vec<&str> {
        let is_unset = |name: &&String| std::env::var(name.as_str()).map_or(true, |value| value.is_empty());
        self.redaction.value.secrets.iter().filter(is_unset).map(String::as_str).collect()
    }

    /// What is redacted, by names alone: `fields data.password; patterns aws; secrets GITHUB_TOKEN`.
    fn redaction_text(&self) -> String {
        let RedactionConfig { fields, patterns, secrets } = &self.redaction.value;
        let unset = self.unset_secrets();
        let secret = |name: &String| match unset.contains(&name.as_str()) {
            true => format!("{name} (not set)"),
            false => name.clone(),
        };
        let kinds = [
            ("fields", fields.iter().map(|field| field.as_str().to_owned()).collect::<Vec<_>>()),
            ("patterns", patterns.iter().map(|(name, _)| name.clone()).collect()),
            ("secrets", secrets.iter().map(secret).collect()),
        ];
        let named = kinds.iter().filter(|(_, names)| !names.is_empty());
        let parts: Vec<String> = named.map(|(kind, names)| format!("{kind} {}", names.join(", "))).collect();
        if parts.is_empty() { "none".to_owned() } else { parts.join("; ") }
    }
}

/// `$XDG_CONFIG_HOME/taffrail`, else `~/.config/taffrail`.
fn user_directory() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    base.or_else(|| set("HOME").map(|home| home.join(".config"))).map(|base| base.join("taffrail"))
}

/// The user's own file may be a link, unlike a store's; but a file it has to be, and no more of it is read than a store's.
fn of_user(path: &Path) -> Result<StoreConfig, Failure> {
    let read = || {
        // A pipe must be refused, not waited for.
        let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(CONFIG_LEN_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = match read() {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(StoreConfig::default());
        }
        Err(error) => return Err(unreadable(path, &error.into())),
    };
    StoreConfig::parse(&bytes).map_err(|error| translate::config(path, &error).into())
}

fn unreadable(path: &Path, error: &ReadError) -> Failure {
    match error {
        ReadError::Config(error) => translate::config(path, error).into(),
        ReadError::Io(error) => {
            let message = format!("cannot read the configuration: {error}");
            let code = if WrongKind::of(error).is_some() { codes::T0314 } else { codes::T0309 };
            Problem::new(code, Exit::Io, message)
                .at(path.display().to_string())
                .hint(format!("taffrail explain {code}"))
                .into()
        }
    }
}

/// What the variables say; empty is unset.
fn from_environment(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<StoreConfig, Failure> {
    let read = |name: &'static str| variable(name).filter(|value| !value.is_empty());
    Ok(StoreConfig {
        sync: parsed(SYNC_VARIABLE, read(SYNC_VARIABLE), str::parse)?,
        segment_size_bytes: parsed(SEGMENT_SIZE_VARIABLE, read(SEGMENT_SIZE_VARIABLE), parse_segment_size)?,
        lock_timeout: parsed(LOCK_TIMEOUT_VARIABLE, read(LOCK_TIMEOUT_VARIABLE), parse_lock_timeout)?,
        retention: None,
        redaction: None,
    })
}

fn parsed<T>(
    name: &str,
    value: Option<OsString>,
    parse: impl Fn(&str) -> Result<T, UnitError>,
) -> Result<Option<T>, Failure> {
    let Some(value) = value else { return Ok(None) };
    parse(&value.to_string_lossy()).map(Some).map_err(|error| {
        Problem::new(codes::T0130, Exit::Usage, error.to_string())
            .at(format!("the variable {name}"))
            .hint("taffrail explain T0130")
            .with("variable", name)
            .into()
    })
}

/// What any of several tables names.
fn all_of(configs: impl Iterator<Item = RedactionConfig>) -> RedactionConfig {
    let mut all = RedactionConfig::default();
    for config in configs {
        all.fields.extend(config.fields);
        all.patterns.extend(config.patterns);
        all.secrets.extend(config.secrets);
    }
    all
}

/// What a store's settings keep out of its log, with the secrets of this process's environment. The user's own file adds to
/// it: what either of them names is redacted.
///
/// # Errors
/// As [`Settings::load`]; T0407 where a secret is too short.
pub fn redactor(store: &Disk) -> Result<Redactor, Failure> {
    let path = store.path().join(CONFIG_FILE_NAME);
    let of_store = StoreConfig::read(store).map_err(|error| unreadable(&path, &error))?.redaction;
    let of_user = match user_directory() {
        Some(directory) => of_user(&directory.join(CONFIG_FILE_NAME))?.redaction,
        None => None,
    };
    let all = all_of([of_store, of_user].into_iter().flatten());
    all.redactor(&|name| std::env::var(name).ok()).map_err(|error| translate::engine(&path, &error).into())
}

/// Refuses a text of the command line that would be written into the log as it is, where the settings keep it out. `what` it is,
/// in words.
///
/// # Errors
/// T0408; as [`redactor`].
pub fn may_be_written(store: &Disk, what: &str, text: &str) -> Result<(), Failure> {
    if redactor(store)?.finds(text.as_bytes()) {
        let message = format!("{what} holds what the store's settings say must not be written");
        let problem = Problem::new(codes::T0408, Exit::Refused, message).at(store.path().display().to_string());
        return Err(problem.hint("taffrail explain T0408").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsString;
    use std::time::Duration;

    use taffrail::config::{RedactionConfig, Source, StoreConfig, SyncPolicy};

    use super::{LOCK_TIMEOUT_VARIABLE, SEGMENT_SIZE_VARIABLE, SYNC_VARIABLE, Settings, from_environment};
    use crate::problem::Failure;

    fn timeout(seconds: u64) -> StoreConfig {
        StoreConfig { lock_timeout: Some(Duration::from_secs(seconds)), ..StoreConfig::default() }
    }

    #[test]
    fn the_stronger_layer_decides_and_says_so() {
        let none = StoreConfig::default;
        for (layers, seconds, source) in [
            ([timeout(1), timeout(2), timeout(3), timeout(4)], 1, Source::Flag),
            ([none(), timeout(2), timeout(3), timeout(4)], 2, Source::Environment),
            ([none(), none(), timeout(3), timeout(4)], 3, Source::Store),
            ([none(), none(), none(), timeout(4)], 4, Source::User),
            ([none(), none(), none(), none()], 5, Source::Default),
        ] {
            let [flags, environment, of_store, of_user] = layers;
            let settings = Settings::layered(flags, environment, of_store, of_user);
            assert_eq!(settings.rows()[2], ("lock_timeout", format!("{seconds}s"), source));
            assert_eq!(settings.sync.source, Source::Default);
        }
    }

    /// `docs/config.md` tells every key, with its default and its variable; and its example holds.
    #[test]
    fn the_page_of_settings_tells_what_there_is() {
        let page = include_str!("../../docs/config.md");
        let cells = |line: &str| -> Vec<String> {
            line.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
        };
        let rows: Vec<Vec<String>> = page.lines().filter(|line| line.starts_with("| `")).map(cells).collect();
        let told: BTreeSet<String> = rows.iter().map(|row| row[1].clone()).collect();
        assert_eq!(told, taffrail::config::keys().collect::<BTreeSet<String>>());
        assert_eq!(told.len(), rows.len(), "each once");

        let none = StoreConfig::default;
        let defaults = Settings::layered(none(), none(), none(), none());
        let variables = [SYNC_VARIABLE, SEGMENT_SIZE_VARIABLE, LOCK_TIMEOUT_VARIABLE];
        for ((key, value, _), variable) in defaults.rows().into_iter().zip(variables) {
            let row = rows.iter().find(|row| row[1] == key).expect(key);
            assert_eq!((row[2].as_str(), row[3].as_str()), (value.as_str(), variable), "{key}");
        }
        assert_eq!((defaults.retention.value, defaults.redaction.value), (None, RedactionConfig::default()));

        let (_, example) = page.split_once("```toml\n").expect("an example");
        let (example, _) = example.split_once("```").expect("its end");
        let config = StoreConfig::parse(example.as_bytes()).expect("it holds");
        assert_eq!(config.sync, Some(defaults.sync.value));
        assert_eq!(config.segment_size_bytes, Some(defaults.segment_size_bytes.value));
        assert_eq!(config.lock_timeout, Some(defaults.lock_timeout.value));
        let text = config.to_toml();
        for key in told {
            let name = key.rsplit('.').next().unwrap_or(&key);
            assert!(example.contains(&format!("{name} = ")) && text.contains(name), "the example has no {key}");
        }
    }

    #[test]
    fn variables_are_read_and_refused_by_name() {
        let answer = |name: &str, value: &str| {
            let (name, value) = (name.to_owned(), OsString::from(value));
            from_environment(&move |asked| (asked == name).then(|| value.clone()))
        };
        assert_eq!(answer("TAFFRAIL_SYNC", "never").expect("valid").sync, Some(SyncPolicy::Never));
        assert_eq!(answer("TAFFRAIL_SEGMENT_SIZE", "1MiB").expect("valid").segment_size_bytes, Some(1 << 20));
        assert_eq!(answer("TAFFRAIL_LOCK_TIMEOUT", "").expect("unset"), StoreConfig::default());
        for (name, value) in
            [("TAFFRAIL_SYNC", "sometimes"), ("TAFFRAIL_SEGMENT_SIZE", "1B"), ("TAFFRAIL_LOCK_TIMEOUT", "2d")]
        {
            let Err(Failure::Problem(problem)) = answer(name, value) else { panic!("{name} is refused") };
            assert_eq!(problem.place, Some(format!("the variable {name}")));
        }
    }
}
