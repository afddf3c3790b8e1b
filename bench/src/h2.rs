//! gRPC over one HTTP/2 connection, without TLS: just what a load generator needs, as cheap as it can be had.
//!
//! A state machine without I/O: bytes go in and come out, and [`Connection::event`] tells what came of it. Of header blocks nothing is
//! read: an answer without a message is an error.

use std::collections::{HashMap, VecDeque};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME: usize = 16384;
/// Large enough that no answer waits for a window update.
const WINDOW: u32 = i32::MAX as u32;
const DEFAULT_WINDOW: i64 = 65535;
/// Of a unary answer only this much is kept.
const HEAD: usize = 256;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Unary,
    /// Stays open in both directions.
    Stream,
}

#[derive(Debug)]
pub enum Event {
    /// A unary call's answer: its beginning, and how long it is.
    Answer { token: usize, head: Vec<u8>, len: usize },
    /// One whole message of a stream.
    Message { token: usize, body: Vec<u8> },
    /// A call ended without an answer, or a stream at all.
    Failed { why: String },
}

struct Stream {
    kind: Kind,
    token: usize,
    received: Vec<u8>,
    len: usize,
    window: i64,
    unsent: Vec<u8>,
    sent: usize,
}

pub struct Connection {
    pub out: Vec<u8>,
    input: Vec<u8>,
    /// How much of `input` is parsed.
    at: usize,
    streams: HashMap<u32, Stream>,
    events: VecDeque<Event>,
    next_id: u32,
    authority: String,
    /// What stands in the peer's table of headers, oldest first.
    indexed: Vec<String>,
    window: i64,
    initial_window: i64,
    blocked: VecDeque<u32>,
    unacknowledged: u32,
}

impl Connection {
    pub fn new(authority: &str) -> Connection {
        let mut out = PREFACE.to_vec();
        let mut settings = Vec::new();
        for (id, value) in [(1u16, 0u32), (2, 0), (4, WINDOW)] {
            settings.extend_from_slice(&id.to_be_bytes());
            settings.extend_from_slice(&value.to_be_bytes());
        }
        frame(&mut out, SETTINGS, 0, 0, &settings);
        frame(&mut out, WINDOW_UPDATE, 0, 0, &(WINDOW - DEFAULT_WINDOW as u32).to_be_bytes());
        Connection {
            out,
            input: Vec::new(),
            at: 0,
            streams: HashMap::new(),
            events: VecDeque::new(),
            next_id: 1,
            authority: authority.to_owned(),
            indexed: Vec::new(),
            window: DEFAULT_WINDOW,
            initial_window: DEFAULT_WINDOW,
            blocked: VecDeque::new(),
            unacknowledged: 0,
        }
    }

    /// Where the next bytes from the peer are to be appended.
    pub fn input(&mut self) -> &mut Vec<u8> {
        if self.at > 0 {
            self.input.drain(..self.at);
            self.at = 0;
        }
        &mut self.input
    }

    /// Begins a call with one message; events about it carry `token`. Returns its id.
    pub fn call(&mut self, kind: Kind, path: &str, message: &[u8], token: usize) -> u32 {
        let id = self.next_id;
        self.next_id += 2;
        self.headers(id, path);
        let window = self.initial_window;
        let stream = Stream { kind, token, received: Vec::new(), len: 0, window, unsent: Vec::new(), sent: 0 };
        self.streams.insert(id, stream);
        self.send(id, message);
        id
    }

    /// One more message in a stream.
    pub fn send(&mut self, id: u32, message: &[u8]) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.unsent.push(0);
        stream.unsent.extend_from_slice(&(message.len() as u32).to_be_bytes());
        stream.unsent.extend_from_slice(message);
        self.flush(id);
    }

    fn headers(&mut self, id: u32, path: &str) {
        let mut block = vec![0x83, 0x86];
        let authority = self.authority.clone();
        // Names by their index in HPACK's static table; 0: spelled out.
        for (index, name, value) in
            [(4, "", path), (1, "", authority.as_str()), (31, "", "application/grpc"), (0, "te", "trailers")]
        {
            if let Some(position) = self.indexed.iter().position(|known| known == value) {
                block.push(0x80 | (62 + self.indexed.len() - 1 - position) as u8);
                continue;
            }
            block.push(0x40 | index);
            if index == 0 {
                block.push(name.len() as u8);
                block.extend_from_slice(name.as_bytes());
            }
            block.push(value.len() as u8);
            block.extend_from_slice(value.as_bytes());
            self.indexed.push(value.to_owned());
        }
        frame(&mut self.out, HEADERS, END_HEADERS, id, &block);
    }

    /// Sends what the windows allow.
    fn flush(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        while stream.sent < stream.unsent.len() {
            let allowed = self.window.min(stream.window).max(0) as usize;
            let len = (stream.unsent.len() - stream.sent).min(FRAME).min(allowed);
            if len == 0 {
                self.blocked.push_back(id);
                return;
            }
            let piece = &stream.unsent[stream.sent..stream.sent + len];
            stream.sent += len;
            stream.window -= len as i64;
            self.window -= len as i64;
            let last = stream.sent == stream.unsent.len() && stream.kind == Kind::Unary;
            frame(&mut self.out, DATA, if last { END_STREAM } else { 0 }, id, piece);
        }
        stream.unsent.clear();
        stream.sent = 0;
    }

    /// What happened next, if anything has.
    pub fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let rest = &self.input[self.at..];
            let head: [u8; 9] = rest.get(..9)?.try_into().ok()?;
            let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            rest.get(9..9 + len)?;
            let begin = self.at + 9;
            self.at = begin + len;
            let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
            self.frame(head[3], head[4], id, begin, begin + len);
        }
    }

    fn frame(&mut self, kind: u8, flags: u8, id: u32, begin: usize, end: usize) {
        match kind {
            DATA => {
                self.data(id, begin, end);
                if flags & END_STREAM != 0 {
                    self.ended(id, "ended without a status");
                }
            }
            HEADERS if flags & END_STREAM != 0 => {
                let block = String::from_utf8_lossy(&self.input[begin..end]).into_owned();
                self.ended(id, &block);
            }
            RST_STREAM if self.streams.remove(&id).is_some() => {
                self.events.push_back(Event::Failed { why: "reset".into() });
            }
            SETTINGS if flags & ACK == 0 => self.settings(begin, end),
            PING if flags & ACK == 0 => {
                let payload = self.input[begin..end].to_vec();
                frame(&mut self.out, PING, ACK, 0, &payload);
            }
            GOAWAY => self.gone(begin, end),
            WINDOW_UPDATE => self.window_update(id, begin),
            _ => {}
        }
    }

    fn data(&mut self, id: u32, begin: usize, end: usize) {
        self.unacknowledged += (end - begin) as u32;
        if self.unacknowledged > WINDOW / 4 {
            frame(&mut self.out, WINDOW_UPDATE, 0, 0, &self.unacknowledged.to_be_bytes());
            self.unacknowledged = 0;
        }
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let piece = &self.input[begin..end];
        stream.len += piece.len();
        if stream.kind == Kind::Unary {
            let room = HEAD.saturating_sub(stream.received.len());
            stream.received.extend_from_slice(&piece[..room.min(piece.len())]);
            return;
        }
        stream.received.extend_from_slice(piece);
        let mut at = 0;
        while let Some(prefix) = stream.received.get(at..at + 5) {
            let len = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
            let Some(body) = stream.received.get(at + 5..at + 5 + len) else { break };
            self.events.push_back(Event::Message { token: stream.token, body: body.to_vec() });
            at += 5 + len;
        }
        stream.received.drain(..at);
        // Streams live long: their windows have to be kept open.
        if stream.len > WINDOW as usize / 4 {
            frame(&mut self.out, WINDOW_UPDATE, 0, id, &(stream.len as u32).to_be_bytes());
            stream.len = 0;
        }
    }

    fn ended(&mut self, id: u32, why: &str) {
        let Some(mut stream) = self.streams.remove(&id) else { return };
        let token = stream.token;
        self.events.push_back(if stream.kind == Kind::Unary && stream.len >= 5 {
            stream.received.drain(..5);
            Event::Answer { token, head: stream.received, len: stream.len - 5 }
        } else {
            Event::Failed { why: why.to_owned() }
        });
    }

    fn settings(&mut self, begin: usize, end: usize) {
        for setting in self.input[begin..end].chunks_exact(6) {
            let value = i64::from(u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]));
            if setting[..2] == [0, 4] {
                let change = value - self.initial_window;
                self.initial_window = value;
                self.streams.values_mut().for_each(|stream| stream.window += change);
            }
        }
        frame(&mut self.out, SETTINGS, ACK, 0, &[]);
        self.unblock();
    }

    fn window_update(&mut self, id: u32, begin: usize) {
        let bytes = &self.input[begin..begin + 4];
        let more = i64::from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        match self.streams.get_mut(&id) {
            Some(stream) => stream.window += more,
            None if id == 0 => self.window += more,
            None => return,
        }
        self.unblock();
    }

    fn unblock(&mut self) {
        for id in std::mem::take(&mut self.blocked) {
            self.flush(id);
        }
    }

    fn gone(&mut self, begin: usize, end: usize) {
        let why = format!("the server said goodbye: {}", String::from_utf8_lossy(&self.input[begin..end]));
        for _ in self.streams.drain() {
            self.events.push_back(Event::Failed { why: why.clone() });
        }
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, id: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server would send.
    fn answered(frames: &[(u8, u8, u32, &[u8])]) -> Connection {
        let mut connection = Connection::new("x");
        connection.call(Kind::Unary, "/a", b"hello", 7);
        for (kind, flags, id, payload) in frames {
            let input = connection.input();
            frame(input, *kind, *flags, *id, payload);
        }
        connection
    }

    #[test]
    fn an_answer_in_pieces_is_one_answer() {
        let mut connection = answered(&[
            (HEADERS, END_HEADERS, 1, &[0x88]),
            (DATA, 0, 1, b"\0\0\0\0\x06abc"),
            (DATA, 0, 1, b"def"),
            (HEADERS, END_HEADERS | END_STREAM, 1, &[]),
        ]);
        let Some(Event::Answer { token: 7, head, len: 6 }) = connection.event() else { panic!() };
        assert_eq!(head, b"abcdef");
        assert!(connection.event().is_none());
    }

    #[test]
    fn trailers_without_an_answer_are_a_failure() {
        let mut connection = answered(&[(HEADERS, END_HEADERS | END_STREAM, 1, b"no")]);
        assert!(matches!(connection.event(), Some(Event::Failed { .. })));
    }

    #[test]
    fn a_message_larger_than_the_window_waits_for_more() {
        let mut connection = Connection::new("x");
        connection.out.clear();
        connection.call(Kind::Unary, "/a", &[0; 100_000], 0);
        let first = connection.out.len();
        assert!(first < 66_000);
        for id in [0, 1] {
            frame(connection.input(), WINDOW_UPDATE, 0, id, &1_000_000u32.to_be_bytes());
        }
        assert!(connection.event().is_none());
        assert!(connection.out.len() > 100_000);
    }
}
