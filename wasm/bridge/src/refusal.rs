//! Why a request is refused.

use crate::http::Answer;

/// Reasons to refuse a request before it becomes a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed,
    TooLarge,
    NotFound,
    Method,
    NoUpgrade,
    BadTarget,
    Origin,
    NoOrigin,
    Token,
    Target,
    Subprotocol,
    PerIp,
    Full,
    ShuttingDown,
    Slow,
}

impl Refusal {
    pub(crate) const ALL: [Self; 15] = [
        Self::Malformed,
        Self::TooLarge,
        Self::NotFound,
        Self::Method,
        Self::NoUpgrade,
        Self::BadTarget,
        Self::Origin,
        Self::NoOrigin,
        Self::Token,
        Self::Target,
        Self::Subprotocol,
        Self::PerIp,
        Self::Full,
        Self::ShuttingDown,
        Self::Slow,
    ];

    /// As metrics and logs name it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::NotFound => "not_found",
            Self::Method => "method",
            Self::NoUpgrade => "no_upgrade",
            Self::BadTarget => "bad_target",
            Self::Origin => "origin",
            Self::NoOrigin => "no_origin",
            Self::Token => "token",
            Self::Target => "target",
            Self::Subprotocol => "subprotocol",
            Self::PerIp => "per_ip",
            Self::Full => "full",
            Self::ShuttingDown => "shutting_down",
            Self::Slow => "slow",
        }
    }

    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::BadTarget | Self::Subprotocol => 400,
            Self::Token => 401,
            Self::Origin | Self::NoOrigin | Self::Target => 403,
            Self::NotFound => 404,
            Self::Method => 405,
            Self::Slow => 408,
            Self::NoUpgrade => 426,
            Self::PerIp => 429,
            Self::TooLarge => 431,
            Self::Full | Self::ShuttingDown => 503,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Malformed => "this is no request for a WebSocket that can be read",
            Self::TooLarge => "the head of the request is too large",
            Self::NotFound => {
                "nothing is here: a tunnel is at /tcp/HOST/PORT, after the path prefix if the bridge has one"
            }
            Self::Method => "only GET is answered here",
            Self::NoUpgrade => "here is a WebSocket (version 13): ask for an upgrade",
            Self::BadTarget => "the path names no host name or address and port: /tcp/HOST/PORT",
            Self::Origin => "pages of this origin are not allowed (--origin lists those that are)",
            Self::NoOrigin => "there is no Origin header (--allow-no-origin admits clients that are no browsers)",
            Self::Token => "a valid token is needed: as bearer token, or as subprotocol klamm.bearer.TOKEN",
            Self::Target => "this target is not allowed (--allow lists those that are)",
            Self::Subprotocol => "of the subprotocols only klamm.tcp.v1 is spoken here, and it is not offered",
            Self::PerIp => "this address has too many connections",
            Self::Full => "the bridge has as many connections as it may",
            Self::ShuttingDown => "the bridge is shutting down",
            Self::Slow => "the request took too long",
        }
    }

    pub(crate) fn answer(self) -> Answer {
        let mut answer = Answer::text(self.status(), format!("{}\n", self.text()));
        match self {
            Self::Method => answer.headers.push(("Allow", "GET, HEAD")),
            Self::Token => answer.headers.push(("WWW-Authenticate", "Bearer")),
            Self::NoUpgrade => {
                answer.headers.extend([("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]);
            }
            Self::PerIp | Self::Full | Self::ShuttingDown => answer.headers.push(("Retry-After", "5")),
            _ => {}
        }
        answer
    }
}
