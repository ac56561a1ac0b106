//! What a request asks for, and whether it may have it.

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::config::Config;
use crate::http::{Head, percent_decode};
use crate::refusal::Refusal;
use crate::target::{AllowList, Target};
use crate::token::Tokens;

/// The one subprotocol. Clients need offer none; one that offers some (to show its token) must offer this, as browsers take
/// the connection only if one of theirs is chosen, and the token must not be it.
pub const SUBPROTOCOL: &str = "klamm.tcp.v1";
/// What comes before the token in a subprotocol.
const TOKEN_PREFIX: &str = "klamm.bearer.";

/// Which of its services a request is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Health,
    Metrics,
    Tunnel,
}

pub(crate) fn service(head: &Head, prefix: &str) -> Result<Service, Refusal> {
    let path = head.path.strip_prefix(prefix).ok_or(Refusal::NotFound)?;
    let service = match path {
        "/health" => Service::Health,
        "/metrics" => Service::Metrics,
        _ if path.starts_with("/tcp/") => Service::Tunnel,
        _ => return Err(Refusal::NotFound),
    };
    let allowed = head.method == "GET" || head.method == "HEAD" && service != Service::Tunnel;
    if allowed { Ok(service) } else { Err(Refusal::Method) }
}

/// A request for a tunnel that may have it.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) target: Target,
    /// The answer to the client's key.
    accept: String,
    subprotocol: bool,
}

impl Admitted {
    /// The head of the answer that makes the connection a WebSocket.
    pub(crate) fn response(&self) -> String {
        let subprotocol =
            if self.subprotocol { format!("Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n") } else { String::new() };
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n{subprotocol}\r\n",
            self.accept
        )
    }
}

/// Judges a request for a tunnel. The token comes before the target, so that without one nobody learns which targets are listed.
pub(crate) fn judge(head: &Head, config: &Config, allow: &AllowList, tokens: &Tokens) -> Result<Admitted, Refusal> {
    let accept = upgrade(head)?;
    check_origin(head, config)?;
    check_token(head, config, tokens)?;
    let target = target(head, &config.path_prefix)?;
    if !allow.allows(&target) {
        return Err(Refusal::Target);
    }
    let offered = head.list("sec-websocket-protocol").next().is_some();
    let subprotocol = head.list("sec-websocket-protocol").any(|offered| offered == SUBPROTOCOL);
    if offered && !subprotocol {
        return Err(Refusal::Subprotocol);
    }
    Ok(Admitted { target, accept, subprotocol })
}

/// The answer to the key of a request for a WebSocket.
fn upgrade(head: &Head) -> Result<String, Refusal> {
    let has = |name, value: &str| head.list(name).any(|member| member.eq_ignore_ascii_case(value));
    let version = head.one("sec-websocket-version").map_err(|()| Refusal::Malformed)?;
    if !head.current || !has("connection", "upgrade") || !has("upgrade", "websocket") || version != Some("13") {
        return Err(Refusal::NoUpgrade);
    }
    let key = head.one("sec-websocket-key").ok().flatten().ok_or(Refusal::Malformed)?;
    // Sixteen bytes in base64.
    let digits = key.strip_suffix("==").ok_or(Refusal::Malformed)?;
    if digits.len() != 22 || !digits.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/') {
        return Err(Refusal::Malformed);
    }
    Ok(derive_accept_key(key.as_bytes()))
}

fn check_origin(head: &Head, config: &Config) -> Result<(), Refusal> {
    match head.one("origin").map_err(|()| Refusal::Malformed)? {
        None if config.allow_no_origin => Ok(()),
        None => Err(Refusal::NoOrigin),
        Some(origin) if config.origins.iter().any(|allowed| allowed.allows(origin)) => Ok(()),
        Some(_) => Err(Refusal::Origin),
    }
}

fn check_token(head: &Head, config: &Config, tokens: &Tokens) -> Result<(), Refusal> {
    if !tokens.are_needed() {
        return Ok(());
    }
    let authorization = head.one("authorization").map_err(|()| Refusal::Malformed)?;
    let bearer = authorization.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let subprotocol = head.list("sec-websocket-protocol").find_map(|offered| offered.strip_prefix(TOKEN_PREFIX));
    let query = head.query.as_deref().filter(|_| config.token_in_query);
    let query = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("token=")));
    // All that are shown must be right: a wrong one is a mistake to be told, wherever it stands.
    let mut shown = [bearer, subprotocol, query].into_iter().flatten().peekable();
    let valid = shown.peek().is_some() && shown.all(|token| tokens.contain(token));
    if valid { Ok(()) } else { Err(Refusal::Token) }
}

/// `/tcp/HOST/PORT`.
pub(crate) fn target(head: &Head, prefix: &str) -> Result<Target, Refusal> {
    let path = head.path.strip_prefix(prefix).and_then(|path| path.strip_prefix("/tcp/"));
    let (host, port) = path.and_then(|path| path.split_once('/')).ok_or(Refusal::BadTarget)?;
    let host = percent_decode(host).ok_or(Refusal::BadTarget)?;
    Target::new(&host, port).ok_or(Refusal::BadTarget)
}
