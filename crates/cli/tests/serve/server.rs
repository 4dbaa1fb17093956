//! A server of the program's own, and a client that sends exactly what a test says.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

/// The password of every account that a test makes.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);

const PROGRAM: &str = env!("CARGO_BIN_EXE_lapwing");

/// The capture that is replayed.
pub(crate) fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus").join(name)
}

/// A server that goes with its folder when the test is over.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Of the link that was printed.
    pub(crate) code: String,
    folder: TempDir,
    /// An admin's token.
    pub(crate) admin: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Server {
    /// Serves with these arguments; nobody has an account yet.
    pub(crate) fn bare(arguments: &[&str]) -> Self {
        Self::spawn(Command::new(PROGRAM), tempfile::tempdir().unwrap(), arguments, "setup?code=")
    }

    /// Ends it and serves the same folder again, watching nothing, with no room in any file beyond some hundred KiB: what is
    /// there can be read, what is written fails soon, as on a disk that is full.
    pub(crate) fn again_on_a_full_disk(mut self) -> Self {
        let asked = Command::new("kill").arg(self.process().to_string()).status().unwrap();
        assert!(asked.success() && self.child.wait().unwrap().success(), "it ends when asked to");
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        let mut shell = Command::new("sh");
        // What exceeds the limit is refused, instead of ending the program.
        shell.args(["-c", "trap '' XFSZ; ulimit -f 128; exec \"$0\" \"$@\"", PROGRAM]);
        let mut server = Self::spawn(shell, folder, &[], "serving http://");
        server.admin.clone_from(&self.admin);
        server
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Serves a folder, and waits for a line of that text.
    fn spawn(mut command: Command, folder: TempDir, arguments: &[&str], last: &str) -> Self {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("{line}");
                let _ = send.send(line);
            }
        });
        let mut server =
            Self { child, address: ([0, 0, 0, 0], 0).into(), code: String::new(), folder, admin: String::new() };
        loop {
            let line = lines.recv_timeout(PATIENCE).expect("the server starts");
            if let Some((_, rest)) = line.split_once("serving http").and_then(|(_, rest)| rest.split_once("://")) {
                server.address = rest.split(' ').next().unwrap().parse().unwrap();
            } else if let Some((_, code)) = line.split_once("setup?code=") {
                server.code = code.trim().to_owned();
            }
            if line.contains(last) {
                return server;
            }
        }
    }

    /// Serves the capture of the first look, all of which has been watched; there is an admin.
    pub(crate) fn start() -> Self {
        let capture = corpus("first-look/suspicious.pcap");
        let server = Self::with_admin(&["--replay", capture.to_str().unwrap(), "--speed", "max"]);
        server.ended();
        server
    }

    /// Waits until all that is played has been watched.
    pub(crate) fn ended(&self) {
        self.until("the replay ends", |server| {
            server.get("/api/v1/sources", &server.admin).json()["current"]["state"] == "ended"
        });
    }

    /// Serves with these arguments; there is an admin.
    pub(crate) fn with_admin(arguments: &[&str]) -> Self {
        let mut server = Self::bare(arguments);
        server.make_admin();
        server
    }

    /// Makes the first account with the link that was printed.
    pub(crate) fn make_admin(&mut self) {
        let account = json!({ "code": self.code, "username": "admin", "password": PASSWORD });
        let made = self.post("/auth/setup", "", &account);
        assert_eq!(made.status, 200, "{made:?}");
        self.admin = made.json()["token"].as_str().unwrap().to_owned();
    }

    /// Makes an account of that role, named like it, and logs in: a session's token.
    pub(crate) fn account(&self, role: &str) -> String {
        if role == "admin" {
            return self.admin.clone();
        }
        let account = json!({ "username": role, "password": PASSWORD, "role": role });
        let made = self.post("/api/v1/accounts", &self.admin, &account);
        assert_eq!(made.status, 201, "{made:?}");
        self.log_in(role)
    }

    pub(crate) fn log_in(&self, username: &str) -> String {
        let answer = self.post("/auth/login", "", &json!({ "username": username, "password": PASSWORD }));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < PATIENCE, "{what}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> Reply {
        self.send(&Asked::new("GET", path).token(token))
    }

    pub(crate) fn post(&self, path: &str, token: &str, body: &Value) -> Reply {
        self.send(&Asked::new("POST", path).token(token).json(body))
    }

    pub(crate) fn send(&self, asked: &Asked) -> Reply {
        self.send_from(Ipv4Addr::LOCALHOST, asked)
    }

    /// Sends from another address: all of 127.0.0.0/8 is this machine.
    pub(crate) fn send_from(&self, from: Ipv4Addr, asked: &Asked) -> Reply {
        self.raw_from(from, &asked.bytes(self.address))
    }

    /// Sends these bytes and reads the first answer.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Reply {
        self.raw_from(Ipv4Addr::LOCALHOST, bytes)
    }

    fn raw_from(&self, from: Ipv4Addr, bytes: &[u8]) -> Reply {
        let mut stream = self.connect_from(from);
        // It may be refused before all of it is sent.
        let sent = stream.write_all(bytes);
        Reply::read(&mut BufReader::new(stream)).unwrap_or_else(|| panic!("no answer; sent: {sent:?}"))
    }

    pub(crate) fn connect(&self) -> TcpStream {
        self.connect_from(Ipv4Addr::LOCALHOST)
    }

    pub(crate) fn connect_from(&self, from: Ipv4Addr) -> TcpStream {
        self.try_connect_from(from, None).unwrap()
    }

    /// Connects with a receive buffer of so many bytes.
    pub(crate) fn try_connect_from(&self, from: Ipv4Addr, buffer: Option<usize>) -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if let Some(bytes) = buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind(&SocketAddr::from((IpAddr::from(from), 0)).into())?;
        socket.connect_timeout(&self.address.into(), PATIENCE)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A request, as it is written.
#[derive(Clone)]
pub(crate) struct Asked {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Asked {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// `""` is none.
    pub(crate) fn token(self, token: &str) -> Self {
        if token.is_empty() { self } else { self.header("Authorization", &format!("Bearer {token}")) }
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string().as_bytes())
    }

    pub(crate) fn body(mut self, media_type: &str, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self.header("Content-Type", media_type)
    }

    /// A form of text fields and one file.
    pub(crate) fn form(self, fields: &[(&str, &str)], file_name: &str, file: &[u8]) -> Self {
        let mut body = Vec::new();
        for (name, value) in fields {
            write!(body, "--limit\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").unwrap();
        }
        body.extend(b"--limit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"");
        body.extend(file_name.as_bytes());
        body.extend(b"\"\r\nContent-Type: application/octet-stream\r\n\r\n");
        body.extend(file);
        body.extend(b"\r\n--limit--\r\n");
        self.body("multipart/form-data; boundary=limit", &body)
    }

    pub(crate) fn bytes(&self, host: SocketAddr) -> Vec<u8> {
        let mut bytes = Vec::new();
        write!(bytes, "{} {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n", self.method, self.path).unwrap();
        for (name, value) in &self.headers {
            write!(bytes, "{name}: {value}\r\n").unwrap();
        }
        if !self.body.is_empty() {
            write!(bytes, "Content-Length: {}\r\n", self.body.len()).unwrap();
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body: String = self.text().chars().take(2_000).collect();
        write!(f, "{} {body}", self.status)
    }
}

impl Reply {
    /// Reads an answer; `None` if there comes none.
    pub(crate) fn read(stream: &mut impl BufRead) -> Option<Self> {
        let mut lines: VecDeque<String> = VecDeque::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push_back(line.to_owned()),
            }
        }
        let status = lines.pop_front()?.split(' ').nth(1)?.parse().ok()?;
        let pair = |line: &String| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().into()));
        let headers: Vec<(String, String)> = lines.iter().filter_map(pair).collect();
        let mut reply = Self { status, headers, body: Vec::new() };
        if let Some(length) = reply.header("content-length") {
            reply.body = vec![0; length.parse().ok()?];
            // Of a HEAD there is none.
            let _ = stream.read_exact(&mut reply.body);
        } else if reply.header("transfer-encoding") == Some("chunked") {
            loop {
                let mut size = String::new();
                stream.read_line(&mut size).ok()?;
                let mut chunk = vec![0; usize::from_str_radix(size.trim(), 16).ok()? + 2];
                stream.read_exact(&mut chunk).ok()?;
                chunk.truncate(chunk.len() - 2);
                if chunk.is_empty() {
                    break;
                }
                reply.body.extend(chunk);
            }
        }
        Some(reply)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It is a problem (RFC 9457) of this status.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{self:?}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{self:?}");
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"), "{self:?}");
        problem
    }

    /// It is the JSON of a success.
    #[track_caller]
    pub(crate) fn given(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        self.json()
    }
}

/// The names of an object's fields.
pub(crate) fn fields(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}
