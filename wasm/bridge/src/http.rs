//! The one request of a connection, and its answer. Each connection carries one: there is no keep-alive to get wrong.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Longest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 100;
/// After an answer, for the client to read it and close; so many bytes of a body are thrown away meanwhile.
const LINGER: Duration = Duration::from_secs(1);
const MAX_LINGER_BYTES: usize = 256 * 1024;

/// The head of a request.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Without its `?`.
    pub(crate) query: Option<String>,
    /// Whether it is HTTP/1.1.
    pub(crate) current: bool,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    /// What came after the head.
    pub(crate) rest: Vec<u8>,
}

#[derive(Debug)]
pub(crate) enum HeadError {
    /// The client went away before the head was whole.
    Gone,
    TooLarge,
    Malformed,
}

impl From<io::Error> for HeadError {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl Head {
    /// Values of all headers of this name, which is in lower case.
    pub(crate) fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The only value of this header; an error if it comes twice, as two readers could then see two different requests.
    pub(crate) fn one(&self, name: &'static str) -> Result<Option<&str>, ()> {
        let mut values = self.all(name);
        let value = values.next();
        if values.next().is_some() { Err(()) } else { Ok(value) }
    }

    /// All members of a header that is a list.
    pub(crate) fn list(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.all(name).flat_map(|value| value.split(',')).map(str::trim).filter(|member| !member.is_empty())
    }

    /// Reads a head, and whatever came with it.
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Self, HeadError> {
        let mut bytes = Vec::with_capacity(1024);
        let mut searched = 0;
        loop {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(HeadError::Gone);
            }
            // Parsed only when whole: else a client that sends byte by byte makes us parse it again each time.
            let end = bytes[searched..].windows(4).position(|four| four == b"\r\n\r\n").map(|at| searched + at + 4);
            match end {
                Some(end) if end <= MAX_HEAD => return Self::parse(bytes, end),
                None if bytes.len() < MAX_HEAD => searched = bytes.len().saturating_sub(3),
                _ => return Err(HeadError::TooLarge),
            }
        }
    }

    fn parse(mut bytes: Vec<u8>, end: usize) -> Result<Self, HeadError> {
        let rest = bytes.split_off(end);
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
            Ok(httparse::Status::Partial) | Err(_) => return Err(HeadError::Malformed),
        }
        let target = request.path.filter(|path| path.starts_with('/')).ok_or(HeadError::Malformed)?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let text = |header: &httparse::Header<'_>| {
            // No header that counts here has others than ASCII; what is not UTF-8 is no match for anything.
            (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).trim().to_owned())
        };
        Ok(Self {
            method: request.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query,
            current: request.version == Some(1),
            headers: request.headers.iter().map(text).collect(),
            rest,
        })
    }
}

/// An answer other than an upgrade.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn text(status: u16, body: String) -> Self {
        Self { status, headers: Vec::new(), content_type: "text/plain; charset=utf-8", body }
    }

    /// Writes it, without its body for `HEAD`, and ends the connection so that the client can read all of it.
    pub(crate) async fn send<S>(&self, stream: &mut S, is_head: bool) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut bytes = self.head();
        if !is_head {
            bytes.push_str(&self.body);
        }
        stream.write_all(bytes.as_bytes()).await?;
        stream.shutdown().await?;
        // Closing with unread bytes resets the connection, and the client may then never see the answer.
        let mut scrap = [0; 4096];
        let read_on = async {
            let mut read = 0;
            while read < MAX_LINGER_BYTES {
                match stream.read(&mut scrap).await {
                    Ok(0) | Err(_) => break,
                    Ok(n) => read += n,
                }
            }
        };
        drop(timeout(LINGER, read_on).await);
        Ok(())
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason_phrase(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!(
            "Content-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
            self.content_type,
            self.body.len()
        ));
        // An answer that offers an upgrade says so in the same header.
        let upgrade = self.headers.iter().any(|(name, _)| *name == "Upgrade");
        head.push_str(if upgrade { "Connection: Upgrade, close\r\n\r\n" } else { "Connection: close\r\n\r\n" });
        head
    }
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "",
    }
}

/// `%41` and the like; `None` if that is broken or gives no UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let value = digit()? * 16 + digit()?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(mut bytes: &[u8]) -> Result<Head, HeadError> {
        Head::read(&mut bytes).await
    }

    #[tokio::test]
    async fn heads_are_read_whole_and_what_follows_is_kept() {
        let head = read(b"GET /a/b?c=d HTTP/1.1\r\nHost: x\r\nX-A: 1, 2\r\nx-a:3\r\n\r\n\x82\x00").await.unwrap();
        assert_eq!((head.method.as_str(), head.path.as_str(), head.query.as_deref()), ("GET", "/a/b", Some("c=d")));
        assert_eq!(head.list("x-a").collect::<Vec<_>>(), ["1", "2", "3"]);
        assert_eq!(head.one("host"), Ok(Some("x")));
        assert_eq!((head.one("x-a"), head.one("x-b")), (Err(()), Ok(None)));
        assert_eq!(head.rest, b"\x82\x00");
    }

    #[tokio::test]
    async fn heads_that_are_wrong_are_told_apart() {
        assert!(matches!(read(b"GET / HTTP/1.1\r\nHost").await, Err(HeadError::Gone)));
        assert!(matches!(read(b"").await, Err(HeadError::Gone)));
        for wrong in [
            "\x16\x03\x01\r\n\r\n",
            "GET http://x/ HTTP/1.1\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET / HTTP/1.1\r\na b: c\r\n\r\n",
        ] {
            assert!(matches!(read(wrong.as_bytes()).await, Err(HeadError::Malformed)), "{wrong}");
        }
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(MAX_HEAD));
        assert!(matches!(read(long.as_bytes()).await, Err(HeadError::TooLarge)));
        assert!(matches!(read(&vec![b'a'; MAX_HEAD * 2]).await, Err(HeadError::TooLarge)));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
        assert!(matches!(read(many.as_bytes()).await, Err(HeadError::TooLarge)));
    }

    #[test]
    fn percent_signs_are_decoded() {
        assert_eq!(percent_decode("%5b::1%5D").as_deref(), Some("[::1]"));
        assert_eq!(percent_decode("plain").as_deref(), Some("plain"));
        for broken in ["%", "%4", "%zz", "%ff", "%+1"] {
            assert_eq!(percent_decode(broken), None, "{broken}");
        }
    }
}
