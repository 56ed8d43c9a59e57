//! Errors by which a node says that it has not executed a request, and the next step of the client.

use crate::client::address::NodeAddress;

/// The next step of a client after an error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// The error is the command's reply.
    Accept,
    /// Another node has the slot.
    Moved(u16, NodeAddress),
    /// Another node executes this request behind `ASKING`. The slot stays where it is.
    Asking(NodeAddress),
    /// The node can execute the request later.
    Wait,
    /// The node does not serve the slot now. Another one may, so the client also reads the map again.
    Search,
}

impl Advice {
    /// Reads an error reply of the node at `asked`.
    pub(super) fn of(error: &str, asked: &NodeAddress) -> Self {
        let mut words = error.split_ascii_whitespace();
        let code = words.next().unwrap_or_default();
        match code {
            "MOVED" | "ASK" => {
                let slot = words.next().and_then(|slot| slot.parse().ok());
                let (Some(slot), Some(mut address)) =
                    (slot, words.next().and_then(NodeAddress::parse))
                else {
                    return Self::Accept;
                };
                if address.host.is_empty() {
                    address.host.clone_from(&asked.host);
                }
                match code {
                    // The node does not know the other one's name.
                    _ if address.host == "?" => Self::Search,
                    "MOVED" => Self::Moved(slot, address),
                    _ => Self::Asking(address),
                }
            }
            "TRYAGAIN" => Self::Wait,
            // A node that became a follower refuses changes of all keys by READONLY.
            "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "READONLY" => Self::Search,
            _ => Self::Accept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_redis_cluster_are_understood() {
        let asked = NodeAddress::parse("asked:1").unwrap();
        let address = |text| NodeAddress::parse(text).unwrap();
        for (error, advice) in [
            ("MOVED 12182 127.0.0.1:7003", Advice::Moved(12182, address("127.0.0.1:7003"))),
            ("MOVED 1 :7003", Advice::Moved(1, address("asked:7003"))),
            ("MOVED 1 ::1:7003", Advice::Moved(1, address("[::1]:7003"))),
            ("MOVED 1 ?:7003", Advice::Search),
            ("ASK 1 127.0.0.1:7003", Advice::Asking(address("127.0.0.1:7003"))),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Advice::Wait),
            ("CLUSTERDOWN Hash slot not served", Advice::Search),
            ("LOADING Redis is loading the dataset in memory", Advice::Search),
            ("MASTERDOWN Link with MASTER is down", Advice::Search),
            ("READONLY You can't write against a read only replica.", Advice::Search),
            // These are replies. An unknown outcome has none of the codes above.
            ("CROSSSLOT Keys in request don't hash to the same slot", Advice::Accept),
            ("ERR MOVED 1 127.0.0.1:7003", Advice::Accept),
            ("MOVEDX 1 127.0.0.1:7003", Advice::Accept),
            ("MOVED", Advice::Accept),
            ("MOVED 65536 127.0.0.1:7003", Advice::Accept),
            ("MOVED 1 127.0.0.1", Advice::Accept),
            ("", Advice::Accept),
        ] {
            assert_eq!(Advice::of(error, &asked), advice, "{error}");
        }
    }
}
