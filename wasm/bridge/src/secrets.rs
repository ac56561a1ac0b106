//! What is read from files and can be read again: tokens and the certificate.

use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::config::Config;
use crate::tls;
use crate::token::Tokens;

/// Both change together or not at all.
pub(crate) struct Secrets(RwLock<Arc<Loaded>>);

/// As of one reading.
pub(crate) struct Loaded {
    pub(crate) tokens: Tokens,
    tls: Option<Arc<ServerConfig>>,
}

impl Loaded {
    /// `None` if the bridge speaks plain TCP.
    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.tls.clone().map(TlsAcceptor::from)
    }

    fn read(config: &Config) -> Result<Self, String> {
        let tokens = Tokens::load(&config.tokens)?;
        let tls = config.tls.as_ref().map(tls::load).transpose()?;
        Ok(Self { tokens, tls })
    }
}

impl Secrets {
    pub(crate) fn load(config: &Config) -> Result<Self, String> {
        Ok(Self(RwLock::new(Arc::new(Loaded::read(config)?))))
    }

    pub(crate) fn reload(&self, config: &Config) -> Result<(), String> {
        let loaded = Arc::new(Loaded::read(config)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    pub(crate) fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
