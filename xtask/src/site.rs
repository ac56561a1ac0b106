//! A server for the files of one folder, to this machine only.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::thread;

use crate::Result;

/// Longest line of a request's head that is read.
const LONGEST: u64 = 16 << 10;

/// A folder that is served as long as this process lives.
pub(crate) struct Site {
    pub(crate) port: u16,
}

impl Site {
    /// Serves it at this port, or at another one if this is taken.
    pub(crate) fn serve(folder: PathBuf, port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)));
        let listener = listener.map_err(|error| format!("cannot listen: {error}"))?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let folder = folder.clone();
                // A browser that goes away in the middle is nobody's trouble.
                thread::spawn(move || drop(answer(&folder, stream)));
            }
        });
        Ok(Self { port })
    }
}

/// Answers one request and closes.
fn answer(folder: &Path, mut stream: TcpStream) -> io::Result<()> {
    let mut head = BufReader::new(io::Read::take(stream.try_clone()?, LONGEST)).lines();
    let request = head.next().unwrap_or_else(|| Ok(String::new()))?;
    // The rest must be read, or closing would cut the answer off.
    for line in head {
        if line?.is_empty() {
            break;
        }
    }
    let found = file_of(folder, &request).and_then(|file| Some((fs::read(&file).ok()?, kind(&file))));
    let (status, body, kind) = match found {
        Some((body, kind)) => ("200 OK", body, kind),
        None => ("404 Not Found", b"there is no such file\n".to_vec(), "text/plain"),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\ncache-control: no-cache\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

/// The file that a request such as `GET /style.css?x HTTP/1.1` asks for; never one outside of the folder.
fn file_of(folder: &Path, request: &str) -> Option<PathBuf> {
    let target = request.strip_prefix("GET /")?.split(' ').next()?;
    let path = Path::new(target.split(['?', '#']).next()?);
    if !path.components().all(|component| matches!(component, Component::Normal(_))) {
        return None;
    }
    let file = folder.join(path);
    Some(if file.is_dir() { file.join("index.html") } else { file })
}

/// Modules are refused by browsers, and WebAssembly is compiled later, if the type is not right.
fn kind(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_are_found() {
        let found = |request: &str| file_of(Path::new("/site"), request);
        assert_eq!(found("GET /a/b.js?x=1 HTTP/1.1"), Some(PathBuf::from("/site/a/b.js")));
        assert_eq!(found("GET /?bridge=ws://h HTTP/1.1"), Some(PathBuf::from("/site/")));
        for request in
            ["GET /../secret HTTP/1.1", "GET //etc/passwd HTTP/1.1", "GET /a/../../b HTTP/1.1", "POST / HTTP/1.1", ""]
        {
            assert_eq!(found(request), None, "{request}");
        }
    }
}
