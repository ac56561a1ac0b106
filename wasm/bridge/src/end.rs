//! How tunnels end.

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Why a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client sent a Close.
    ClientClosed,
    /// The client's connection ended or failed without one.
    ClientGone,
    /// The target ended its side.
    TargetClosed,
    /// The connection to the target failed.
    TargetFailed,
    Unresolved,
    ForbiddenAddress,
    Unreachable,
    ConnectTimeout,
    Text,
    TooBig,
    Protocol,
    Idle,
    Silent,
    ShuttingDown,
    /// The task was stopped: the deadline of a shutdown, or a panic.
    Aborted,
}

impl End {
    pub(crate) const ALL: [Self; 15] = [
        Self::ClientClosed,
        Self::ClientGone,
        Self::TargetClosed,
        Self::TargetFailed,
        Self::Unresolved,
        Self::ForbiddenAddress,
        Self::Unreachable,
        Self::ConnectTimeout,
        Self::Text,
        Self::TooBig,
        Self::Protocol,
        Self::Idle,
        Self::Silent,
        Self::ShuttingDown,
        Self::Aborted,
    ];

    /// As metrics and logs name it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::ClientGone => "client_gone",
            Self::TargetClosed => "target_closed",
            Self::TargetFailed => "target_failed",
            Self::Unresolved => "unresolved",
            Self::ForbiddenAddress => "forbidden_address",
            Self::Unreachable => "unreachable",
            Self::ConnectTimeout => "connect_timeout",
            Self::Text => "text",
            Self::TooBig => "too_big",
            Self::Protocol => "protocol",
            Self::Idle => "idle",
            Self::Silent => "silent",
            Self::ShuttingDown => "shutting_down",
            Self::Aborted => "aborted",
        }
    }

    /// The Close that tells the client; none where the client has closed, or is gone.
    pub(crate) fn close_frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::ClientClosed | Self::ClientGone | Self::Aborted => return None,
            Self::TargetClosed => (CloseCode::Normal, "the target closed the connection"),
            // 1014 (bad gateway) would say more, but clients built on tungstenite take it for a violation of the protocol.
            Self::TargetFailed => (CloseCode::Error, "the connection to the target failed"),
            Self::Unresolved => (CloseCode::Error, "the name of the target cannot be resolved"),
            Self::Unreachable => (CloseCode::Error, "the target cannot be reached"),
            Self::ConnectTimeout => (CloseCode::Error, "the target did not answer in time"),
            Self::ForbiddenAddress => (CloseCode::Policy, "the target resolves to no address that is allowed"),
            Self::Text => (CloseCode::Unsupported, "only binary messages are carried"),
            Self::TooBig => (CloseCode::Size, "the frame or message is longer than allowed"),
            Self::Protocol => (CloseCode::Protocol, "violation of the WebSocket protocol"),
            Self::Idle => (CloseCode::Away, "no data for too long"),
            Self::Silent => (CloseCode::Away, "no answer to pings"),
            Self::ShuttingDown => (CloseCode::Away, "the bridge is shutting down"),
        };
        Some(CloseFrame { code, reason: reason.into() })
    }

    /// Whether what the client sends can still be understood as frames.
    pub(crate) fn frames_are_lost(self) -> bool {
        matches!(self, Self::TooBig | Self::Protocol)
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        use tokio_tungstenite::tungstenite::error::ProtocolError;
        match error {
            Error::Capacity(_) => Self::TooBig,
            // Text that is not even text.
            Error::Utf8(_) => Self::Text,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::ClientGone,
            Error::Protocol(_) => Self::Protocol,
            Error::ConnectionClosed | Error::AlreadyClosed => Self::ClientClosed,
            _ => Self::ClientGone,
        }
    }
}
