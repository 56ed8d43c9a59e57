//! Reads certificates and passwords again when the program gets SIGHUP.
//!
//! All is read and checked first. If anything is wrong, nothing changes, and the log says what. Connections that exist
//! go on as before; new ones use the files that were read.

use crate::node::Renewer;
use hedgerow_db::config::Config;
#[cfg(feature = "grpc")]
use hedgerow_db::grpc::{GrpcOptions, GrpcReloader};
use hedgerow_db::server::Reloader;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The settings that are taken when they are read again. The files that they name are read in any case.
const TAKEN: &[&str] = &[
    "requirepass",
    "tls-cert-file",
    "tls-key-file",
    "tls-ca-cert-file",
    "tls-auth-clients",
    "cluster-etcd-user",
    "cluster-etcd-password",
    "cluster-etcd-ca-cert-file",
    "cluster-etcd-cert-file",
    "cluster-etcd-key-file",
];

/// Reads the settings of the program.
type ReadSettings = Box<dyn Fn() -> Result<Config, String> + Send>;

/// The parts of the program that use certificates and passwords.
pub(crate) struct Reload {
    pub(crate) read: ReadSettings,
    /// The settings that were read last.
    pub(crate) config: Config,
    pub(crate) server: Reloader,
    #[cfg(feature = "grpc")]
    pub(crate) grpc: Option<GrpcReloader>,
    pub(crate) node: Option<Renewer>,
    /// Set for `/metrics`.
    pub(crate) failed: Option<Arc<AtomicBool>>,
}

impl Reload {
    fn run(&mut self) {
        let done = self.try_to_run();
        if let Some(failed) = &self.failed {
            // Relaxed: the flag stands for itself.
            failed.store(done.is_err(), Ordering::Relaxed);
        }
        match done {
            Ok(()) => tracing::info!(
                "certificates and passwords were reloaded; existing connections keep the previous ones"
            ),
            Err(why) => tracing::error!(
                "certificates and passwords cannot be reloaded: {why}\nThe previous ones remain in use."
            ),
        }
    }

    fn try_to_run(&mut self) -> Result<(), String> {
        let config = (self.read)()?;
        let mut steps: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
        let changed = self.changes(&config);
        let server = self.server.prepare(&config.server(), changed);
        steps.push(Box::new(server.map_err(|why| why.to_string())?));
        #[cfg(feature = "grpc")]
        if let Some(grpc) = &self.grpc {
            let options = GrpcOptions::of(&config).map_err(|why| why.to_string())?;
            steps.push(Box::new(grpc.prepare(options).map_err(|why| why.to_string())?));
        }
        if let (Some(node), Some(settings)) = (&self.node, config.cluster()) {
            steps.push(node(&settings).map_err(|why| why.to_string())?);
        }
        for step in steps {
            step();
        }
        self.config = config;
        Ok(())
    }

    /// Returns the settings that have changed since they were read last and are taken. Says which others are not.
    fn changes(&self, config: &Config) -> Vec<(&'static str, String)> {
        let changed = config.all().filter(|(name, value)| self.config.get(name) != *value);
        let (taken, others): (Vec<_>, Vec<_>) = changed.partition(|(name, _)| TAKEN.contains(name));
        for (name, _) in others {
            tracing::warn!("{name} was changed, and takes effect at the next start");
        }
        taken.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
    }
}

/// Waits for SIGHUP. One that comes while the data is loaded is heard afterwards.
#[derive(Default)]
pub(crate) struct Hangup(Mutex<(bool, Option<Reload>)>);

impl Hangup {
    /// Reads again.
    pub(crate) fn heard(&self) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut inner.1 {
            Some(reload) => reload.run(),
            None => inner.0 = true,
        }
    }

    /// Sets what is read again.
    pub(crate) fn set(&self, mut reload: Reload) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.0 {
            reload.run();
        }
        inner.1 = Some(reload);
    }
}
