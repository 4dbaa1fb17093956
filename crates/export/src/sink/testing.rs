//! Deliveries and receivers for tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use lapwing_capture::Timestamp;

use crate::{Delivery, synthetic_alert};

/// As many deliveries, with ids `00`, `01`, …
pub(crate) fn deliveries(count: usize) -> Vec<Delivery> {
    (0..count).map(delivery).collect()
}

pub(crate) fn delivery(number: usize) -> Delivery {
    let mut alert = synthetic_alert(Timestamp::from_seconds(1_800_000_000 + i64::try_from(number).unwrap()));
    alert.id = format!("{number:02}");
    Delivery::of_alert(&alert, true).unwrap()
}

/// A request that an [`http_server`] got.
#[derive(Debug)]
pub(crate) struct Request {
    /// Method and path.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Answers each request with the next of `answers` (status line and headers), the last one for ever.
pub(crate) fn http_server(answers: Vec<&'static str>) -> (SocketAddr, Receiver<Request>) {
    http_server_on(TcpListener::bind("127.0.0.1:0").unwrap(), answers)
}

pub(crate) fn http_server_on(listener: TcpListener, answers: Vec<&'static str>) -> (SocketAddr, Receiver<Request>) {
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    thread::spawn(move || serve(&listener, &answers, &sender));
    (address, receiver)
}

fn serve(listener: &TcpListener, answers: &[&str], sender: &Sender<Request>) {
    let mut answered = 0;
    for stream in listener.incoming().filter_map(Result::ok) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() || line.is_empty() {
            continue;
        }
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let length =
            headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer = answers[answered.min(answers.len() - 1)];
        answered += 1;
        write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        let request = Request { line: line.trim_end().to_owned(), headers, body: String::from_utf8(body).unwrap() };
        if sender.send(request).is_err() {
            return;
        }
    }
}
