//! One who listens: what is told to everybody, and packets on request.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use lapwing_engine::packets::Subscription;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use crate::access::{identify, same_site};
use crate::auth::{AuthError, Identity};
use crate::clock::now;
use crate::extract::Params;
use crate::problem::Problem;
use crate::publish::every;
use crate::routes::{self, overview, sn};
use crate::shared::Shared;
use crate::view::packet::seen;
use crate::view::sn::{AgentStatus, ResponseStatus};

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

/// Closed because the session has ended.
const SESSION_OVER: u16 = 4401;

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
            let Ok(mut message) = seen(&packet) else { continue };
            message["type"] = "packet".into();
            self.send(Message::text(message.to_string())).await?;
        }
        Ok(())
    }

    async fn complain(&mut self, detail: &str) -> Result<(), Gone> {
        self.send(Message::text(json!({ "type": "error", "detail": detail }).to_string())).await
    }

    /// Whoever may not listen any more is told so.
    async fn recheck(&mut self) -> Result<(), Gone> {
        let identity = self.identity.clone();
        let again = self.shared.blocking(move |shared| Ok(shared.accounts.again(&identity, now())));
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
