//! The live stream: what is new, once a second, to whoever listens.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use lapwing_capture::Timestamp;
use lapwing_engine::packets::Subscription;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use crate::access::{identify, same_site};
use crate::auth::{AuthError, Identity};
use crate::extract::Params;
use crate::feed::{MOST_SECONDS, Second};
use crate::problem::Problem;
use crate::routes::{self, overview, sn};
use crate::server::Shared;
use crate::view::sn::{AgentStatus, ResponseStatus};
use crate::view::time;

/// How often there is news.
const EVERY: Duration = Duration::from_secs(1);

/// Updates that are kept for those who come back.
const KEPT: usize = 300;

/// Bytes of them: alerts make some large.
const MOST_KEPT: usize = 8 << 20;

/// Updates that wait for one client at most; what comes then pushes out the oldest.
const QUEUE: usize = 32;

/// How long a client may take for one message.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is asked whether a client may still listen.
const RECHECK: Duration = Duration::from_secs(5);

/// How often packets are sent to those who want them, and how many wait for that.
const GLANCE: Duration = Duration::from_millis(100);
const PACKET_QUEUE: usize = 256;

/// Clients at once.
const MOST_CLIENTS: usize = 256;

/// Bytes of what a client says.
const MOST_SAID: usize = 4 << 10;

/// Seconds that one update tells of at most, the latest.
const MOST_TOLD: usize = 60;

/// Closed because the session has ended.
const SESSION_OVER: u16 = 4401;

/// One message to everybody, with its place among them.
#[derive(Clone)]
struct Update {
    sequence: u64,
    text: Utf8Bytes,
}

/// Updates for those who come back, the latest, oldest first.
#[derive(Default)]
struct Kept {
    updates: VecDeque<Update>,
    bytes: usize,
}

impl Kept {
    fn push(&mut self, update: Update) {
        self.bytes += update.text.len();
        self.updates.push_back(update);
        while self.updates.len() > KEPT || self.bytes > MOST_KEPT {
            let Some(gone) = self.updates.pop_front() else { break };
            self.bytes -= gone.text.len();
        }
    }
}

/// What is sent to everybody.
pub(crate) struct Stream {
    sender: Sender<Update>,
    kept: Mutex<Kept>,
    /// The number before the first.
    first: u64,
}

impl Default for Stream {
    fn default() -> Self {
        // Higher than any number of an earlier life of the server, so that nobody goes on where nothing was.
        let first = u64::try_from(crate::now().micros()).unwrap_or_default();
        Self { sender: broadcast::channel(QUEUE).0, kept: Mutex::default(), first }
    }
}

impl Stream {
    /// Sends `message` to everybody, under the next number.
    pub(crate) fn tell(&self, mut message: Value) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = kept.updates.back().map_or(self.first, |last| last.sequence) + 1;
        message["sequence"] = sequence.into();
        let update = Update { sequence, text: message.to_string().into() };
        kept.push(update.clone());
        // Nobody may listen.
        let _ = self.sender.send(update);
    }

    /// How many listen.
    pub(crate) fn clients(&self) -> usize {
        self.sender.receiver_count()
    }

    /// What comes from now on, the last number before it, and what came after `since`, if all of that is still there.
    fn join(&self, since: Option<u64>) -> (Receiver<Update>, u64, Option<Vec<Update>>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = self.sender.subscribe();
        let last = kept.updates.back().map_or(self.first, |last| last.sequence);
        let missed = since.filter(|since| *since <= last).and_then(|since| {
            let is_whole = since == last || kept.updates.front().is_some_and(|first| first.sequence <= since + 1);
            is_whole.then(|| kept.updates.iter().filter(|update| update.sequence > since).cloned().collect())
        });
        (receiver, last, missed)
    }
}

/// A second as it is shown.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(crate) struct SecondView {
    /// The second of capture time.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "time::DateTime")]
    time: Timestamp,
    /// Packets.
    packets: u64,
    /// Bytes.
    bytes: u64,
    /// Alerts that opened in it.
    alerts: u64,
    /// Packets, or flows of a log, that stand out.
    anomalies: u64,
}

impl From<Second> for SecondView {
    fn from(second: Second) -> Self {
        let Second { time, packets, bytes, alerts, anomalies } = second;
        Self { time, packets, bytes, alerts, anomalies }
    }
}

/// Tells everybody what is new, once a second.
pub(crate) async fn publish(shared: Arc<Shared>) {
    let mut ticks = every(EVERY);
    let mut told = [None; 2];
    loop {
        ticks.tick().await;
        let news = shared.feed.take_news();
        // Each is told twice: packets are counted elsewhere, and may come a little later than an alert about them.
        let seconds = over(shared.feed.last_seconds(MOST_SECONDS), told[0]);
        told = [told[1], seconds.last().map(|second| second.time).or(told[1])];
        let message = shared.blocking(move |shared| {
            let seconds: Vec<SecondView> = seconds.into_iter().map(SecondView::from).collect();
            Ok(json!({
                "type": "traffic_update",
                "timestamp": lapwing_alert::rfc3339(crate::now()),
                "traffic": news.entries,
                "alerts": news.alerts,
                "left_out": news.left_out,
                "auto_actions": [],
                "stats": sn::standing(shared)?,
                "response_status": ResponseStatus::none(),
                "second": seconds.last(),
                "seconds": seconds,
                "source": shared.operator.source(),
                "threat": overview::threat(shared)?,
            }))
        });
        if let Ok(message) = message.await {
            shared.stream.tell(message);
        }
    }
}

/// The seconds that are over, after `told`: of a capture that is played fast several.
fn over(mut seconds: Vec<Second>, told: Option<Timestamp>) -> Vec<Second> {
    // The second that goes on is not complete yet.
    let ongoing = seconds.pop();
    // Another source may begin before the last one ended.
    if let (Some(told), Some(ongoing)) = (told, ongoing)
        && told < ongoing.time
    {
        seconds.retain(|second| second.time > told);
    }
    seconds.split_off(seconds.len().saturating_sub(MOST_TOLD))
}

fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// Where a client wants to go on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resume {
    /// The last number that was received.
    since: Option<u64>,
}

/// What a client may say.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Said {
    Ping,
    Subscribe {
        #[serde(default)]
        packets: bool,
        #[serde(default)]
        filter: Option<String>,
    },
    Unsubscribe,
}

/// Takes a client on.
pub(crate) async fn connect(
    State(shared): State<Arc<Shared>>,
    Params(resume): Params<Resume>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers();
    if headers.get(header::AUTHORIZATION).is_none() {
        // A browser sends its cookie with what other sites' pages ask for too.
        same_site(headers)?;
    }
    let Some(identity) = identify(&shared, &Method::GET, headers).await? else {
        return Err(Problem::unauthorized("log in first, or send an API token: Authorization: Bearer TOKEN"));
    };
    let upgrade = upgrade.map_err(|error| Problem::bad_request(error.body_text()))?;
    if shared.stream.clients() >= MOST_CLIENTS {
        return Err(Problem::unavailable("too many listen already"));
    }
    let upgrade = upgrade.max_message_size(MOST_SAID).max_frame_size(MOST_SAID).max_write_buffer_size(4 << 20);
    Ok(upgrade
        .on_upgrade(move |socket| async move {
            Client { shared, identity, packets: None, socket }.listen(resume.since).await;
        })
        .into_response())
}

struct Client {
    shared: Arc<Shared>,
    identity: Identity,
    packets: Option<Subscription>,
    socket: WebSocket,
}

/// The client is gone, or has to go.
struct Gone;

impl Client {
    async fn listen(mut self, since: Option<u64>) {
        // It may be gone already.
        let _ = self.run(since).await;
        let _ = timeout(PATIENCE, self.socket.send(Message::Close(None))).await;
    }

    async fn run(&mut self, since: Option<u64>) -> Result<(), Gone> {
        let (mut updates, last, missed) = self.shared.stream.join(since);
        match missed {
            Some(missed) => {
                for update in missed {
                    self.send(Message::Text(update.text)).await?;
                }
            }
            None => {
                let init = init(&self.shared, last, since.is_some()).await?;
                self.send(Message::text(init)).await?;
            }
        }
        let (mut rechecks, mut glances) = (every(RECHECK), every(GLANCE));
        loop {
            tokio::select! {
                update = updates.recv() => match update {
                    Ok(update) => self.send(Message::Text(update.text)).await?,
                    Err(RecvError::Lagged(count)) => {
                        self.send(Message::text(json!({ "type": "lost", "count": count }).to_string())).await?;
                    }
                    Err(RecvError::Closed) => return Err(Gone),
                },
                said = self.socket.recv() => match said {
                    Some(Ok(Message::Text(text))) => self.answer(&text).await?,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Binary(_))) => self.complain("say it as text").await?,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
                },
                _ = glances.tick(), if self.packets.is_some() => self.send_packets().await?,
                _ = rechecks.tick() => self.recheck().await?,
            }
        }
    }

    async fn answer(&mut self, text: &str) -> Result<(), Gone> {
        if text.trim() == "ping" {
            return self.send(Message::text("pong")).await;
        }
        match serde_json::from_str(text) {
            Ok(Said::Ping) => self.send(Message::text("pong")).await,
            Ok(Said::Subscribe { packets, filter }) => self.subscribe(packets, filter).await,
            Ok(Said::Unsubscribe) => self.subscribe(false, None).await,
            Err(error) => self.complain(&error.to_string()).await,
        }
    }

    async fn subscribe(&mut self, packets: bool, filter: Option<String>) -> Result<(), Gone> {
        if !packets {
            self.packets = None;
            return Ok(());
        }
        match routes::packets::filter(filter.as_deref()) {
            Ok(filter) => {
                self.packets = Some(self.shared.tap.subscribe(filter, PACKET_QUEUE));
                Ok(())
            }
            Err(problem) => self.complain(problem.detail()).await,
        }
    }

    /// Sends the packets that came since the last time.
    async fn send_packets(&mut self) -> Result<(), Gone> {
        let Some(packets) = &self.packets else { return Ok(()) };
        let taken = packets.take(Duration::ZERO);
        if taken.lost > 0 {
            let lost = json!({ "type": "lost", "count": taken.lost, "of": "packets" });
            self.send(Message::text(lost.to_string())).await?;
        }
        for packet in taken.packets {
            let Ok(Value::Object(mut message)) = serde_json::to_value(&*packet) else { continue };
            message.insert("type".to_owned(), "packet".into());
            self.send(Message::text(Value::Object(message).to_string())).await?;
        }
        Ok(())
    }

    async fn complain(&mut self, detail: &str) -> Result<(), Gone> {
        self.send(Message::text(json!({ "type": "error", "detail": detail }).to_string())).await
    }

    /// Whoever may not listen any more is told so.
    async fn recheck(&mut self) -> Result<(), Gone> {
        let identity = self.identity.clone();
        let again = self.shared.blocking(move |shared| Ok(shared.accounts.again(&identity, crate::now())));
        if matches!(again.await, Ok(Err(AuthError::InvalidToken))) {
            let frame = CloseFrame { code: SESSION_OVER, reason: "the session is over".into() };
            let _ = timeout(PATIENCE, self.socket.send(Message::Close(Some(frame)))).await;
            return Err(Gone);
        }
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(PATIENCE, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }
}

/// What a client begins with.
async fn init(shared: &Arc<Shared>, sequence: u64, gap: bool) -> Result<String, Gone> {
    let built = shared.blocking(move |shared| {
        Ok(json!({
            "type": "init",
            "sequence": sequence,
            "gap": gap,
            "history": shared.feed.entries(50),
            "stats": sn::standing(shared)?,
            "alerts": overview::latest_alerts(shared, 20)?,
            "agent_status": AgentStatus::default(),
            "response_status": ResponseStatus::none(),
            "overview": overview::build(shared)?,
        })
        .to_string())
    });
    built.await.map_err(|_| Gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_back_gets_what_came_in_the_meantime_or_is_told_of_a_gap() {
        let stream = Stream::default();
        (0..KEPT + 10).for_each(|_| stream.tell(json!({})));
        let last = stream.first + (KEPT + 10) as u64;
        let missed = |since| stream.join(Some(since)).2.map(|missed| missed.len());
        assert_eq!(missed(last), Some(0));
        assert_eq!(missed(last - 5), Some(5));
        assert_eq!(missed(stream.first + 10), Some(KEPT));
        assert_eq!(missed(stream.first + 9), None);
        assert_eq!(missed(last + 1), None, "from another life of the server");
        assert!(stream.join(None).2.is_none());
    }

    #[test]
    fn every_second_is_told_once_it_is_over_also_of_a_capture_that_is_played_fast() {
        let seconds = |from: i64, to: i64| -> Vec<Second> {
            (from..=to).map(|second| Second { time: Timestamp::from_seconds(second), ..Second::default() }).collect()
        };
        let told = |seconds: Vec<Second>, told: Option<i64>| -> Vec<i64> {
            let told = told.map(Timestamp::from_seconds);
            over(seconds, told).iter().map(|second| second.time.seconds()).collect()
        };
        assert_eq!(told(seconds(100, 105), Some(102)), [103, 104], "105 goes on");
        assert_eq!(told(seconds(100, 105), Some(104)), [0; 0]);
        assert_eq!(told(seconds(7, 9), Some(104)), [7, 8], "another source");
        assert_eq!(told(seconds(0, 300), None).len(), MOST_TOLD);
        assert_eq!(told(Vec::new(), None), [0; 0]);
    }
}
