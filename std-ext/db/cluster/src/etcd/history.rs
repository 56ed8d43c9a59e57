//! The part of etcd's history that the client has seen. It only ever goes forward.

use super::api::ResponseHeader;
use super::error::{ErrorKind, EtcdError};

/// The newest revision and the cluster that answers have named.
#[derive(Debug, Default)]
pub(super) struct History {
    newest: u64,
    cluster: Option<u64>,
    /// The contradiction that was found. It stays, because the client cannot know which answers to believe.
    broken: Option<EtcdError>,
}

impl History {
    /// Returns the least revision that the answer to a linearizable request may have, if the request begins now.
    pub(super) fn begin(&self) -> Result<u64, EtcdError> {
        self.broken.clone().map_or(Ok(self.newest), Err)
    }

    /// Checks an answer's header. `least` is what [`begin`](Self::begin) returned before the request, if the request
    /// was linearizable: answers that arrived since then do not count, because etcd may have done them later.
    pub(super) fn check(
        &mut self,
        endpoint: &str,
        header: &ResponseHeader,
        least: Option<u64>,
    ) -> Result<u64, EtcdError> {
        let found = u64::try_from(header.revision).map_err(|_| {
            EtcdError::new(ErrorKind::InvalidAnswer, endpoint, "the revision is negative")
        })?;
        let cluster = *self.cluster.get_or_insert(header.cluster_id);
        if cluster != header.cluster_id {
            let detail = format!(
                "this one belongs to cluster {:x}, another to {cluster:x}",
                header.cluster_id
            );
            return Err(self.fail(EtcdError::new(ErrorKind::ClusterIdMismatch, endpoint, detail)));
        }
        if let Some(seen) = least.filter(|&least| found < least) {
            let kind = ErrorKind::RevisionWentBack { seen, found };
            let detail = format!("it was {seen}, and is {found}");
            return Err(self.fail(EtcdError::new(kind, endpoint, detail)));
        }
        // What a member says by itself may be older or newer than what the others have agreed on.
        if least.is_some() {
            self.saw(found);
        }
        Ok(found)
    }

    /// Remembers that a revision exists.
    pub(super) fn saw(&mut self, revision: u64) {
        self.newest = self.newest.max(revision);
    }

    fn fail(&mut self, error: EtcdError) -> EtcdError {
        self.broken.get_or_insert(error).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(revision: i64) -> ResponseHeader {
        ResponseHeader { cluster_id: 7, revision, ..ResponseHeader::default() }
    }

    #[test]
    fn a_revision_that_goes_back_is_refused_for_ever() {
        let mut history = History::default();
        assert_eq!(history.check("a", &header(9), Some(0)), Ok(9));
        let least = history.begin().unwrap();
        assert_eq!(least, 9, "the newest revision is not remembered");
        let error = history.check("b", &header(8), Some(least)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RevisionWentBack { seen: 9, found: 8 });
        assert_eq!(history.begin(), Err(error), "the client goes on");
    }

    #[test]
    fn answers_to_requests_that_ran_at_once_may_come_in_any_order() {
        let mut history = History::default();
        let (first, second) = (history.begin().unwrap(), history.begin().unwrap());
        assert_eq!(history.check("a", &header(9), Some(second)), Ok(9));
        assert_eq!(history.check("b", &header(8), Some(first)), Ok(8));
        assert_eq!(history.begin(), Ok(9));
    }

    #[test]
    fn what_one_member_says_is_not_compared() {
        let mut history = History::default();
        assert_eq!(history.check("a", &header(9), Some(0)), Ok(9));
        // A member that lags behind, and one that restarts.
        assert_eq!(history.check("b", &header(3), None), Ok(3));
        assert_eq!(history.begin(), Ok(9));
        assert!(history.check("b", &header(-1), None).is_err());
        assert_eq!(history.begin(), Ok(9));
    }

    #[test]
    fn another_cluster_is_refused_for_ever() {
        let mut history = History::default();
        history.check("a", &header(9), None).unwrap();
        let other = ResponseHeader { cluster_id: 8, revision: 9, ..ResponseHeader::default() };
        let error = history.check("b", &other, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ClusterIdMismatch);
        assert!(history.begin().is_err());
    }
}
