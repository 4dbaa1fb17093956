//! Captures that people hand in.

mod form;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::multipart::{Multipart, MultipartRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lapwing_detect::packets::Pattern;
use lapwing_engine::Control;
use lapwing_engine::packets::{PacketQuery, Survey};
use lapwing_store::{Change, UploadState};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

use self::form::Pace;
use crate::access::{Access, Caller};
use crate::auth::Role;
use crate::extract::{Answer, Named};
use crate::operation::Operation;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::uploads::Incoming;
use crate::view::All;
use crate::view::job::Job;
use crate::view::packet::{PatternView, Seen};

/// How long Traffic-monitor's upload waits for what is found.
const LONGEST: Duration = Duration::from_secs(600);

pub(super) fn operations() -> Vec<Operation> {
    let (viewer, analyst) = (Access::Role(Role::Viewer), Access::Role(Role::Analyst));
    let ours = [
        Operation::get("/api/v1/uploads", viewer, "Captures that were handed in, the latest first", list)
            .gives::<All<Job>>(200),
        Operation::post("/api/v1/uploads", analyst, "Hand in a capture to be looked at", upload)
            .takes_form::<UploadForm>()
            .gives::<Job>(202)
            .problem(409),
        Operation::get("/api/v1/uploads/{id}", viewer, "How far an upload is, and what was found in it", show)
            .gives::<Job>(200),
        Operation::post("/api/v1/uploads/{id}/cancel", analyst, "Stop looking at an upload", cancel).gives::<Job>(200),
        Operation::delete("/api/v1/uploads/{id}", analyst, "Remove an upload, and what was found in it", remove)
            .gives_nothing(),
    ]
    .map(|operation| operation.tag("Uploads"));
    let theirs =
        Operation::post("/api/upload_pcap", analyst, "Hand in a capture, and wait for what is found", upload_pcap)
            .takes_form::<UploadForm>()
            .gives::<Uploaded>(200)
            .problem(409)
            .tag("Traffic-monitor");
    ours.into_iter().chain([theirs]).collect()
}

/// The fields of an upload.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used: the fields are read as they come")]
struct UploadForm {
    /// The capture: pcap or pcapng, as it is or compressed with gzip or zstd.
    #[schemars(extend("format" = "binary"))]
    file: String,
    /// Only frames that this tcpdump expression takes.
    filter: Option<String>,
    /// The name of a model to judge by.
    model: Option<String>,
}

async fn list(State(shared): State<Arc<Shared>>) -> Answer<All<Job>> {
    shared.blocking(|shared| Ok(All { data: shared.uploads.list()? })).await.map(Json)
}

async fn show(State(shared): State<Arc<Shared>>, Named(id): Named) -> Answer<Job> {
    shared.blocking(move |shared| shared.uploads.get(&id)).await.map(Json)
}

async fn cancel(State(shared): State<Arc<Shared>>, Caller(caller): Caller, Named(id): Named) -> Answer<Job> {
    let cancelled = shared.blocking(move |shared| {
        shared.audited(&caller.username, "upload cancelled", &id, || shared.uploads.cancel(&id))
    });
    cancelled.await.map(Json)
}

async fn remove(
    State(shared): State<Arc<Shared>>,
    Caller(caller): Caller,
    Named(id): Named,
) -> Result<StatusCode, Problem> {
    let removed =
        move |shared: &Shared| shared.uploads.remove(&id, Change { who: &caller.username, at: crate::clock::now() });
    shared.blocking(removed).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn upload(
    State(shared): State<Arc<Shared>>,
    Caller(caller): Caller,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, Problem> {
    let job = receive(&shared, caller.username, form).await?;
    let place = HeaderValue::from_str(&format!("/api/v1/uploads/{}", job.id));
    let mut response = (StatusCode::ACCEPTED, Json(job)).into_response();
    if let Ok(place) = place {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// Takes in an upload, and has it looked at.
async fn receive(
    shared: &Arc<Shared>,
    by: String,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Job, Problem> {
    let form = form.map_err(|error| match error {
        MultipartRejection::InvalidBoundary(_) => {
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send a form: Content-Type: multipart/form-data")
        }
        other => Problem::new(other.status(), other.body_text()),
    })?;
    let _room = shared.receiving.try_acquire().map_err(|_| {
        Problem::too_many("others hand in captures just now; try again in a moment", Duration::from_secs(5))
    })?;
    let who = by.clone();
    let coming = shared.blocking(move |shared| shared.uploads.receive(&who)).await?;
    let mut incoming = Incoming { by, ..Incoming::default() };
    let pace = Pace::new(form::GRACE, form::LEAST_RATE);
    form::take(form, pace, &coming.path, &mut incoming, shared.uploads.most_bytes()).await?;
    shared.blocking(move |shared| shared.uploads.submit(coming, incoming)).await
}

/// What Traffic-monitor's clients get of an upload.
#[derive(Serialize, JsonSchema)]
struct Uploaded {
    /// Always true.
    success: bool,
    /// Packets of the file.
    total_packets: u64,
    /// Packets that follow here.
    packets_count: usize,
    /// Packets whose `is_anomaly` is true.
    anomaly_count: u64,
    /// The first thousand of them.
    anomalies: Vec<Seen>,
    /// The first thousand packets that the filter takes.
    packets: Vec<Seen>,
    /// What the packets look like whose `is_anomaly` is true, by emoji.
    patterns: BTreeMap<&'static str, PatternCount>,
    /// The filter.
    filter_applied: Option<String>,
    /// Packets that the filter takes.
    total_count: u64,
    /// The upload, whose alerts and flows can be asked for.
    job: String,
}

/// How many packets look so.
#[derive(Serialize, JsonSchema)]
struct PatternCount {
    #[serde(flatten)]
    view: PatternView,
    /// How many.
    count: u64,
}

async fn upload_pcap(
    State(shared): State<Arc<Shared>>,
    Caller(caller): Caller,
    form: Result<Multipart, MultipartRejection>,
) -> Answer<Uploaded> {
    let uploaded = async {
        let job = receive(&shared, caller.username, form).await?;
        let id = job.id.clone();
        let begun = tokio::time::Instant::now();
        let job = loop {
            let asked = id.clone();
            let job = shared.blocking(move |shared| shared.uploads.get(&asked)).await?;
            match job.state {
                UploadState::Done => break job,
                UploadState::Failed | UploadState::Cancelled => {
                    return Err(Problem::bad_request(job.error.unwrap_or_else(|| "it was cancelled".to_owned())));
                }
                _ if begun.elapsed() > LONGEST => {
                    return Err(Problem::unavailable(format!("it takes long; ask for /api/v1/uploads/{id}")));
                }
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        shared.reading(move |shared, control| uploaded(shared, &id, job, control)).await
    };
    uploaded.await.map(Json).map_err(Problem::with_error)
}

fn uploaded(shared: &Shared, id: &str, job: Job, control: &Control) -> Result<Uploaded, Problem> {
    let look = shared.uploads.look(id)?;
    let read = |only_anomalies| {
        let query =
            PacketQuery { limit: Survey::PACKETS, only_anomalies, payload: shared.payload, ..PacketQuery::default() };
        let page = shared.uploads.packets(id, &query, 0, control)?;
        Ok::<Vec<Seen>, Problem>(page.packets.into_iter().map(Seen::from).collect())
    };
    let packets = read(false)?;
    let count = |pattern: Pattern| {
        (pattern.emoji(), PatternCount { view: pattern.into(), count: look.unusual_of_pattern(pattern) })
    };
    Ok(Uploaded {
        success: true,
        total_packets: look.packets,
        packets_count: packets.len(),
        anomaly_count: look.anomalies,
        anomalies: read(true)?,
        packets,
        patterns: Pattern::ALL.into_iter().map(count).filter(|(_, pattern)| pattern.count > 0).collect(),
        filter_applied: job.filter,
        total_count: look.taken,
        job: job.id,
    })
}
