//! The methods of etcd that the client calls.

use super::api;
use prost::Message;

/// A request of a method with one request and one answer.
pub(super) trait Method: Message + Clone + 'static {
    /// The answer.
    type Answer: Message + Default + 'static;
    /// The method's path.
    const PATH: &'static str;
    /// Whether the client may repeat the request after an error with an unknown outcome.
    const REPEATABLE: bool;
    /// Whether the answer's revision includes every change that was acknowledged before the request began.
    const LINEARIZABLE: bool;

    /// Returns the answer's header.
    fn header(answer: &Self::Answer) -> Option<&api::ResponseHeader>;
}

macro_rules! methods {
    ($(
        $request:ident, $answer:ident, $path:literal,
        repeatable: $repeatable:literal, linearizable: $linearizable:literal;
    )*) => {$(
        impl Method for api::$request {
            type Answer = api::$answer;
            const PATH: &'static str = $path;
            const REPEATABLE: bool = $repeatable;
            const LINEARIZABLE: bool = $linearizable;

            fn header(answer: &Self::Answer) -> Option<&api::ResponseHeader> {
                answer.header.as_ref()
            }
        }
    )*};
}

// A member answers `Status` alone, and the headers of the others below `DeleteRange` are the member's, too.
methods! {
    RangeRequest, RangeResponse, "/etcdserverpb.KV/Range", repeatable: true, linearizable: true;
    TxnRequest, TxnResponse, "/etcdserverpb.KV/Txn", repeatable: false, linearizable: true;
    PutRequest, PutResponse, "/etcdserverpb.KV/Put", repeatable: false, linearizable: true;
    DeleteRangeRequest, DeleteRangeResponse, "/etcdserverpb.KV/DeleteRange", repeatable: false, linearizable: true;
    CompactionRequest, CompactionResponse, "/etcdserverpb.KV/Compact", repeatable: true, linearizable: false;
    // A lease that was granted by a request without an answer ends by itself.
    LeaseGrantRequest, LeaseGrantResponse, "/etcdserverpb.Lease/LeaseGrant", repeatable: true, linearizable: false;
    LeaseRevokeRequest, LeaseRevokeResponse, "/etcdserverpb.Lease/LeaseRevoke", repeatable: true, linearizable: false;
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse, "/etcdserverpb.Lease/LeaseTimeToLive",
        repeatable: true, linearizable: false;
    AlarmRequest, AlarmResponse, "/etcdserverpb.Maintenance/Alarm", repeatable: true, linearizable: false;
    StatusRequest, StatusResponse, "/etcdserverpb.Maintenance/Status", repeatable: true, linearizable: false;
    AuthenticateRequest, AuthenticateResponse, "/etcdserverpb.Auth/Authenticate", repeatable: true, linearizable: false;
}

/// The path of watches.
pub(super) const WATCH: &str = "/etcdserverpb.Watch/Watch";
/// The path of keep-alives of leases.
pub(super) const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
