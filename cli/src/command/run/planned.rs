//! What the commands that plan a change of one run have in common: find the run, plan, show, agree, carry out, tell.

use std::collections::BTreeSet;
use std::sync::Arc;

use taffrail::Seq;
use taffrail::plan::{Applied, Authority};
use taffrail::run::{Effect, Runs};
use taffrail::storage::Storage;

use super::acknowledge::GivingUp;
use crate::command::Context;
use crate::exit::Exit;
use crate::output::{Format, Output};
use crate::plan::{Consent, Done, Proposal, print_done};
use crate::problem::Failure;
use crate::store::Store;
use crate::subject::Subject;

/// A plan about a run, and what its command says of it.
pub(super) trait Planned {
    /// What has to be agreed to.
    fn proposal(&self, store: &Store) -> Proposal;

    /// Shows it.
    fn print(&self, proposal: &Proposal, output: &mut Output) -> Result<(), Failure>;

    /// What was done for good and is given up by it.
    fn effects(&self) -> &[Effect] {
        &[]
    }

    /// Carries it out.
    fn apply(
        &self,
        storage: &Arc<dyn Storage>,
        authority: &Authority,
        acknowledged: &BTreeSet<String>,
    ) -> taffrail::Result<Applied>;

    /// What is told when it was carried out; `name` is the plan's.
    fn done(&self, applied: &Applied, name: String, store: &Store) -> Done;
}

/// A command line that asks for one.
pub(super) struct Asked<'a> {
    /// The command, as in `run close`.
    pub(super) command: &'static str,
    /// The run, as it was given.
    pub(super) run: &'a str,
    pub(super) consent: &'a Consent,
    /// The options of what gives up events, where the command has them.
    pub(super) giving_up: Option<&'a GivingUp>,
}

impl Asked<'_> {
    /// Shows the plan, or carries it out.
    ///
    /// # Errors
    /// T0141 for an unknown run; what `make` says; T0421 for what is not acknowledged; what [`Consent::authority`] says.
    pub(super) fn go<P: Planned>(
        &self,
        context: &mut Context<'_>,
        make: impl FnOnce(&Subject, Seq) -> Result<P, Failure>,
    ) -> Result<Exit, Failure> {
        context.output.require(self.command, &Format::TEXT)?;
        let store = Store::locate_directory(context, self.command)?;
        let subject = Subject::find::<Runs>(store, Some(self.run))?;
        let Some(run) = subject.run else { return Ok(Exit::Differs) };
        let plan = make(&subject, run)?;
        let store = &subject.store;
        let proposal = plan.proposal(store);
        if self.consent.shows() {
            plan.print(&proposal, context.output)?;
        }
        let (acknowledged, accept_loss) = match self.giving_up {
            Some(up) => (up.acknowledged(plan.effects(), self.consent, &proposal)?, up.accept_loss),
            None => (BTreeSet::new(), 0),
        };
        let authority = self.consent.authority(&proposal, accept_loss, store, context)?;
        let Some(authority) = authority else { return Ok(Exit::Clean) };
        let storage = Arc::clone(&store.disk) as Arc<dyn Storage>;
        let applied = plan.apply(&storage, &authority, &acknowledged).map_err(|error| subject.problem(&error))?;
        let done = plan.done(&applied, proposal.name, store);
        print_done(&applied, &done, context)?;
        Ok(Exit::Clean)
    }
}
