//! builds: default
//!
//! A cache of sessions that expire, by a user of dashmap.

use hedgerow::HashMap;
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone)]
struct Session {
    user: String,
    visits: u32,
    expires: Instant,
}

struct Sessions {
    map: HashMap<String, Session>,
    time_to_live: Duration,
}

impl Sessions {
    fn log_in(&self, token: &str, user: &str, now: Instant) {
        let session = Session { user: user.into(), visits: 0, expires: now + self.time_to_live };
        self.map.insert(token.to_string(), session);
    }

    fn user(&self, token: &str) -> Option<String> {
        let session = self.map.get(token).map(|session| session.clone())?;
        Some(session.user)
    }

    /// Counts a visit and prolongs the session. With dashmap it was `get_mut`.
    fn visit(&self, token: &str, now: Instant) -> Option<u32> {
        self.map.remove_if(token, |_, session| session.expires <= now);
        let session = self.map.update(token, |session| Session {
            visits: session.visits + 1,
            expires: now + self.time_to_live,
            ..session.clone()
        })?;
        Some(session.visits)
    }

    fn expire(&self, now: Instant) {
        self.map.retain(|_, session| session.expires > now);
    }
}

#[test]
fn sessions_expire() {
    let sessions = Sessions { map: HashMap::new(), time_to_live: Duration::from_secs(60) };
    let begin = Instant::now();
    thread::scope(|scope| {
        for n in 0..4 {
            let sessions = &sessions;
            scope.spawn(move || sessions.log_in(&format!("token {n}"), "rose", begin));
        }
    });
    let later = begin + Duration::from_secs(50);
    assert_eq!(sessions.visit("token 1", later), Some(1));
    assert_eq!(sessions.user("token 1").as_deref(), Some("rose"));
    let much_later = begin + Duration::from_secs(70);
    sessions.expire(much_later);
    assert_eq!(sessions.visit("token 2", much_later), None);
    assert_eq!(sessions.map.iter().map(|session| session.visits).collect::<Vec<_>>(), [1]);
}
