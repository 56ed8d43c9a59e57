//! Routing in a cluster: whether this node executes a command, or where its client is sent.
//!
//! The primary of a group executes every command whose keys have one slot of this group, and a follower sends clients
//! to the primary, unless they want to read what may be stale. A command for a slot of another group goes to that
//! group's primary.

use crate::command::arguments::CommandError;
use crate::command::execute::Execution;
use crate::command::queue::Queued;
use crate::command::redirects::Redirects;
use crate::command::table::{CommandSpec, Flag, Id};
use crate::view::{MemberRole, ViewReader};
use hedgerow_db_formats::slots::slot;

/// The reply to commands while the data is being loaded.
pub(crate) const LOADING: &str = "LOADING hedgerow-db is loading the dataset in memory";
const CROSS_SLOT: &str = "CROSSSLOT Keys in request don't hash to the same slot";
pub(super) const STALE: &str =
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";

impl<'t> Execution<'t, '_> {
    /// Returns the group, if this is a node of a cluster.
    #[inline]
    pub(super) fn group(&self) -> Option<&'t ViewReader> {
        self.cluster
    }

    /// Checks whether this node executes a command. The first argument is the command's name.
    ///
    /// This is a fast check on the view of this cycle. The session checks both again. The log, under the shard's lock,
    /// keeps a node that is not the primary any more from changing anything.
    /// [`Ownership`](hedgerow_db_engine::state::ownership::Ownership) keeps a node from answering for slots of another
    /// group.
    ///
    /// # Errors
    /// The reply if it does not.
    #[inline]
    pub(super) fn route(
        &self,
        group: &ViewReader,
        spec: &'static CommandSpec,
        arguments: &[&[u8]],
    ) -> Result<(), CommandError> {
        let view = group.view();
        // One key at most, at the primary: nothing to check but its slot, if other groups have slots.
        if view.role == MemberRole::Primary && spec.keys.0 == spec.keys.1 && !spec.finds_keys() {
            let own = |at: usize| arguments.get(at).is_some_and(|key| view.owns(slot(key)));
            // At 0 is the command's name: it has no key, or a subcommand has it.
            if view.is_whole() || usize::try_from(spec.keys.0).is_ok_and(|at| at > 0 && own(at)) {
                return Ok(());
            }
        }
        self.route_checked(group, spec, arguments)
    }

    fn route_checked(
        &self,
        group: &ViewReader,
        spec: &'static CommandSpec,
        arguments: &[&[u8]],
    ) -> Result<(), CommandError> {
        let part = spec.with_part(arguments);
        let slot = common_slot(part, arguments)?;
        match group.view().role {
            // Clients may ask a node that is loading where the others are.
            MemberRole::Loading if part.has_flag(Flag::Loading) || spec.id == Id::CLUSTER => Ok(()),
            MemberRole::Loading => Err(LOADING.into()),
            _ if slot.is_some_and(|slot| !group.view().owns(slot)) => {
                Err(self.redirects().to_owner(group.view(), slot))
            }
            MemberRole::Primary => Ok(()),
            MemberRole::Follower => self.route_on_follower(group, part, slot),
        }
    }

    /// As [`route`](Self::route), for the commands of a transaction: their keys must have one slot.
    #[cold]
    pub(super) fn route_transaction(
        &self,
        group: &ViewReader,
        commands: &[Queued<'_>],
    ) -> Result<(), CommandError> {
        let mut common = None;
        for (spec, arguments) in commands {
            let slot = common_slot(spec.with_part(arguments), arguments)?;
            if let Some(slot) = slot
                && *common.get_or_insert(slot) != slot
            {
                return Err(CROSS_SLOT.into());
            }
        }
        commands.iter().try_for_each(|(spec, arguments)| self.route(group, spec, arguments))
    }

    fn route_on_follower(
        &self,
        group: &ViewReader,
        spec: &CommandSpec,
        slot: Option<u16>,
    ) -> Result<(), CommandError> {
        let writes = spec.has_flag(Flag::Write);
        let may_read = match slot {
            Some(_) => !writes && self.connection.reads_stale,
            // As at Redis's replicas: walks over all keys show this node's.
            None if !writes && !spec.has_flag(Flag::ReadOnly) => return Ok(()),
            None => !writes,
        };
        if !may_read {
            return Err(self.redirects().to_owner(group.view(), slot));
        }
        if group.views().is_fresh(self.session.now()) { Ok(()) } else { Err(STALE.into()) }
    }

    /// Returns what the batch replies to requests that the log has refused.
    pub(super) fn redirects(&self) -> Redirects<'t> {
        Redirects { group: self.group(), tls: self.connection.uses_tls }
    }
}

/// Returns the slot of a command's keys; `None` if it has none.
fn common_slot(spec: &CommandSpec, arguments: &[&[u8]]) -> Result<Option<u16>, CommandError> {
    common(spec.keys_among(arguments).map(slot))
}

fn common(mut slots: impl Iterator<Item = u16>) -> Result<Option<u16>, CommandError> {
    let first = slots.next();
    if slots.all(|other| Some(other) == first) { Ok(first) } else { Err(CROSS_SLOT.into()) }
}
