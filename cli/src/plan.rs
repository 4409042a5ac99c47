//! Plan first: a command that takes something away, or replaces it, shows what it would do, and does it only when it is
//! told to carry out exactly that.

use clap::Args;
use serde::Serialize;
use taffrail::config::StoreConfig;
use taffrail::plan::{Applied, Authority};

use crate::codes;
use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::line::{Line, Tone};
use crate::problem::{Failure, Problem};
use crate::settings::{self, Settings};
use crate::store::Store;

/// What a reason looks like in the commands that plans print: not a reason.
const NO_REASON: &str = "...";

/// The options of every command that plans first.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Carrying out the plan")]
pub struct Consent {
    /// Carry out the plan that --plan names; without this, the plan is shown and nothing is written
    #[arg(long, conflicts_with = "apply_now")]
    pub apply: bool,

    /// Show the plan, ask on the terminal, and carry it out
    #[arg(long)]
    pub apply_now: bool,

    /// The plan, by the name that was shown
    #[arg(long, value_name = "NAME")]
    pub plan: Option<String>,

    /// Why; written into the log
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// A plan, as far as agreeing to it goes.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Its id.
    pub id: String,
    /// Its short name.
    pub name: String,
    /// Events that are lost by it.
    pub lost: u64,
    /// The command that shows it.
    pub command: String,
}

impl Proposal {
    /// A plan with this id and name.
    #[must_use]
    pub fn new(id: &str, name: &str, lost: u64, command: String) -> Self {
        Self { id: id.to_owned(), name: name.to_owned(), lost, command }
    }

    /// The command that carries it out, but for the reason.
    #[must_use]
    pub fn apply_command(&self) -> String {
        let loss = if self.lost == 0 { String::new() } else { format!(" --accept-loss {}", self.lost) };
        format!("{} --plan {}{loss} --reason \"{NO_REASON}\" --apply", self.command, self.name)
    }

    /// `plan 8c1e44   (nothing written)`
    #[must_use]
    pub fn heading(&self) -> Line {
        Line::new().tone(Tone::Heading, &format!("plan {}", self.name)).plain("   (nothing written)")
    }

    /// `apply: taffrail ...`, and `[exit 4]` below it: a line that is copied is a command and nothing else.
    #[must_use]
    pub fn footing(&self, exit: Exit) -> [Line; 2] {
        let command = self.apply_command();
        [Line::new().tone(Tone::Hint, "apply").plain(&format!(": {command}")), exit.line()]
    }
}

impl Consent {
    /// Whether the plan is shown before anything else: always but where it was shown before.
    #[must_use]
    pub fn shows(&self) -> bool {
        !self.apply
    }

    /// On whose word the plan is carried out; `None` where it is only to be shown. `accept_loss` is what the command line
    /// accepts.
    ///
    /// # Errors
    /// T0401 for another plan, T0104 without a reason, T0402 for another loss, T0405 where nobody says yes.
    pub fn authority(
        &self,
        proposal: &Proposal,
        accept_loss: u64,
        store: &Store,
        context: &mut Context<'_>,
    ) -> Result<Option<Authority>, Failure> {
        if !self.apply && !self.apply_now {
            return Ok(None);
        }
        let (reason, accept_loss) = if self.apply_now {
            self.asked(proposal, context)?
        } else {
            self.check_plan(proposal)?;
            (self.reason(proposal)?, accept_loss)
        };
        if accept_loss != proposal.lost {
            let (lost, accepted) = (human::count(proposal.lost, "event"), human::thousands(accept_loss));
            return Err(Problem::new(
                codes::T0402,
                Exit::Refused,
                format!("the plan loses {lost}; accepted: {accepted}"),
            )
            .hint(proposal.apply_command())
            .with("lost", proposal.lost)
            .with("accepted", accept_loss)
            .into());
        }
        settings::may_be_written(&store.disk, "the reason", &reason)?;
        Ok(Some(Authority {
            plan: proposal.id.clone(),
            accept_loss,
            reason,
            actor: format!("uid:{}", rustix::process::getuid().as_raw()),
            lock_timeout_ms: lock_timeout_ms(store, context)?,
        }))
    }

    fn check_plan(&self, proposal: &Proposal) -> Result<(), Failure> {
        let message = match self.plan.as_deref() {
            None => "--apply carries out a plan that was looked at, and --plan does not name one".to_owned(),
            Some(plan) if plan.len() >= proposal.name.len() && proposal.id.starts_with(plan) => return Ok(()),
            Some(plan) => {
                format!("plan {plan} is not the one for this store as it is now: that is {}", proposal.name)
            }
        };
        Err(Problem::new(codes::T0401, Exit::Refused, message)
            .hint(proposal.command.as_str())
            .with("plan", proposal.name.as_str())
            .into())
    }

    fn reason(&self, proposal: &Proposal) -> Result<String, Failure> {
        let given = self.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty() && *reason != NO_REASON);
        given.map(str::to_owned).ok_or_else(|| {
            Problem::new(codes::T0104, Exit::Usage, "missing: --reason, in your own words; it is written into the log")
                .hint(proposal.apply_command())
                .into()
        })
    }

    /// The reason, and the loss that a person accepts.
    fn asked(&self, proposal: &Proposal, context: &mut Context<'_>) -> Result<(String, u64), Failure> {
        let refused = |message: &str, hint: String| -> Failure {
            Problem::new(codes::T0405, Exit::Refused, message).hint(hint).into()
        };
        let nobody = || refused("--apply-now asks on a terminal, and here is none", proposal.apply_command());
        let reason = match &self.reason {
            Some(_) => self.reason(proposal)?,
            None => context.output.ask("why (written into the log)? ")?.ok_or_else(nobody)?,
        };
        if reason.is_empty() {
            return Err(refused("no reason was given; nothing was written", proposal.command.clone()));
        }
        let question = match proposal.lost {
            0 => format!("apply plan {}? [y/N] ", proposal.name),
            lost => format!(
                "apply plan {} and lose {}? type the number of events: ",
                proposal.name,
                human::count(lost, "event")
            ),
        };
        let answer = context.output.ask(&question)?.ok_or_else(nobody)?;
        let yes = match proposal.lost {
            0 => matches!(answer.as_str(), "y" | "Y" | "yes"),
            lost => answer.parse() == Ok(lost),
        };
        if yes {
            Ok((reason, proposal.lost))
        } else {
            Err(refused("not confirmed; nothing was written", proposal.command.clone()))
        }
    }
}

/// How long whoever carries a plan out waits for the store's lock, in milliseconds.
///
/// # Errors
/// As [`Settings::load`].
pub fn lock_timeout_ms(store: &Store, context: &Context<'_>) -> Result<u64, Failure> {
    let flags = StoreConfig { lock_timeout: context.global.lock_timeout, ..StoreConfig::default() };
    let lock_timeout = Settings::load(flags, &store.disk)?.lock_timeout.value;
    Ok(u64::try_from(lock_timeout.as_millis()).unwrap_or(u64::MAX))
}

/// `taffrail.applied/1`
#[derive(Debug, Serialize)]
struct AppliedReport<'applied> {
    schema: &'static str,
    #[serde(flatten)]
    applied: &'applied Applied,
    /// The command that takes it back; null where nothing was replaced.
    undo: Option<&'applied str>,
}

/// What is said when a plan was carried out.
#[derive(Clone, Debug)]
pub struct Done {
    /// The plan's name.
    pub name: String,
    /// What it cost, in words.
    pub lost: String,
    /// The command that looks at what it led to.
    pub check: String,
    /// The command that takes it back.
    pub undo: Option<String>,
}

/// Tells what was done to the store's files. `undo` is the command that takes it back.
///
/// # Errors
/// What writing says.
pub fn print_applied(
    applied: &Applied,
    name: &str,
    undo: Option<&str>,
    store: &Store,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let lost = match applied.lost {
        0 => "nothing lost".to_owned(),
        lost => format!("{} lost, recorded as absent", human::count(lost, "event")),
    };
    let (name, undo) = (name.to_owned(), undo.map(str::to_owned));
    print_done(applied, &Done { name, lost, check: store.command("log verify"), undo }, context)
}

/// Tells what was done.
///
/// # Errors
/// What writing says.
pub fn print_done(applied: &Applied, done: &Done, context: &mut Context<'_>) -> Result<(), Failure> {
    let Done { name, lost, check, undo } = done;
    if context.output.format().is_json() {
        let undo = undo.as_deref();
        context.output.json(&AppliedReport { schema: "taffrail.applied/1", applied, undo })?;
        return Ok(());
    }
    let heading = Line::new().tone(Tone::Good, "applied").plain(&format!(" plan {name}: {lost}"));
    let mut rows = vec![("told", format!("seq {} says who, why and what", applied.event))];
    rows.extend(applied.kept_in.as_ref().map(|kept_in| ("kept", format!("{kept_in}/"))));
    rows.push(("check", check.clone()));
    rows.extend(undo.as_ref().map(|undo| ("undo", undo.clone())));
    context.output.line(heading)?;
    for (name, value) in rows {
        context.output.line(format!("  {name:<6} {value}").as_str())?;
    }
    Ok(())
}
