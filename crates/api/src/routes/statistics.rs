//! What was, over time.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use lapwing_capture::Timestamp;
use lapwing_store::{AlertGroup, AlertPoint, Talker, TimeRange, TrafficPoint};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::AlertFilter;
use super::limit;
use crate::access::Access;
use crate::auth::Role;
use crate::extract::{Answer, Params, moment};
use crate::operation::Operation;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::view::All;

/// Points of a drawing, where nobody asks for another step.
const POINTS: i64 = 300;

const MINUTE: Duration = Duration::from_secs(60);

const DAY: Duration = Duration::from_secs(86_400);

/// Points of a drawing at most.
const MOST_POINTS: i64 = 5_000;

pub(super) fn operations() -> Vec<Operation> {
    let viewer = Access::Role(Role::Viewer);
    [
        Operation::get("/api/v1/statistics/traffic", viewer, "What moved, over time", traffic)
            .query::<Span>()
            .gives::<Series<TrafficPoint>>(200)
            .shared(),
        Operation::get("/api/v1/statistics/alerts", viewer, "Alerts by severity, over time", alerts)
            .query::<Span>()
            .gives::<Series<AlertPoint>>(200)
            .shared(),
        Operation::get("/api/v1/statistics/talkers", viewer, "Who sent and received most", talkers)
            .query::<TalkerSpan>()
            .gives::<All<TalkerView>>(200)
            .shared(),
        Operation::get("/api/v1/alerts/counts", viewer, "Alerts counted by what they have in common", counts)
            .query::<Grouped>()
            .gives::<All<Count>>(200)
            .shared(),
    ]
    .map(|operation| operation.tag("Statistics").problem(404))
    .into()
}

/// From when to when.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Span {
    /// From this time on: RFC 3339; without it the day before `until`, of an upload its first packet.
    since: Option<String>,
    /// Up to this time; without it capture time as it is now, of an upload its last packet.
    until: Option<String>,
    /// Minutes of one point; without it so many that about 300 points come out.
    #[schemars(range(min = 1, max = 1440))]
    step: Option<u32>,
    /// Of this upload instead of what is watched.
    job: Option<String>,
}

/// Points over time.
#[derive(Serialize, JsonSchema)]
struct Series<T> {
    /// Minutes of one point.
    step_minutes: u32,
    /// The points at which there was something, oldest first.
    data: Vec<T>,
}

/// What time a drawing covers. Where only one end is given, or none, there may be nothing in it, but it is no error.
fn range(
    shared: &Shared,
    job: Option<&str>,
    since: Option<&str>,
    until: Option<&str>,
) -> Result<(Timestamp, Timestamp), Problem> {
    let (since, until) = (moment("since", since)?, moment("until", until)?);
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        return Err(Problem::bad_request("since: it is not before `until`"));
    }
    let span = match job.filter(|job| !job.is_empty()) {
        Some(job) => shared.uploads.get(job)?.span(),
        None => None,
    };
    let last = span.map(|(_, last)| last).or_else(|| shared.feed.now()).unwrap_or_else(crate::clock::now);
    let until = until.unwrap_or_else(|| since.map_or(last, |since| last.max(since)).plus(MINUTE));
    let since = since.unwrap_or_else(|| match span {
        Some((first, _)) => first.min(until.minus(MINUTE)),
        None => until.minus(DAY),
    });
    Ok((since, until))
}

impl Span {
    fn settle(&self, shared: &Shared) -> Result<(TimeRange, u32), Problem> {
        let (since, until) = range(shared, self.job.as_deref(), self.since.as_deref(), self.until.as_deref())?;
        let minutes = (until.seconds().saturating_sub(since.seconds())) / 60;
        let step = match self.step {
            None => match u32::try_from(minutes / POINTS).unwrap_or(u32::MAX).max(1) {
                // Whole hours are counted without sorting.
                hours @ 31..=1_380 => hours.next_multiple_of(60),
                step => step,
            },
            Some(step) if (1..=1_440).contains(&step) => step,
            Some(step) => return Err(Problem::bad_request(format!("step: {step} is not between 1 and 1440"))),
        };
        if minutes / i64::from(step) > MOST_POINTS {
            let reason =
                format!("step: that gives more than {MOST_POINTS} points; take a longer step or a shorter time");
            return Err(Problem::bad_request(reason));
        }
        Ok((TimeRange::between(since, until), step))
    }
}

async fn traffic(State(shared): State<Arc<Shared>>, Params(span): Params<Span>) -> Answer<Series<TrafficPoint>> {
    let found = shared.blocking(move |shared| {
        let (range, step_minutes) = span.settle(shared)?;
        Ok(Series { step_minutes, data: shared.kept(span.job.as_deref())?.traffic(range, step_minutes)? })
    });
    found.await.map(Json)
}

async fn alerts(State(shared): State<Arc<Shared>>, Params(span): Params<Span>) -> Answer<Series<AlertPoint>> {
    let found = shared.blocking(move |shared| {
        let (range, step_minutes) = span.settle(shared)?;
        Ok(Series { step_minutes, data: shared.kept(span.job.as_deref())?.alerts_over_time(range, step_minutes)? })
    });
    found.await.map(Json)
}

/// From when to when, and how many.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TalkerSpan {
    /// From this time on: RFC 3339; without it the day before `until`, of an upload its first packet.
    since: Option<String>,
    /// Up to this time; without it capture time as it is now, of an upload its last packet.
    until: Option<String>,
    /// At most so many.
    #[schemars(range(min = 1, max = 100))]
    limit: Option<usize>,
    /// Of this upload instead of what is watched.
    job: Option<String>,
}

/// Who sent and received how much.
#[derive(Serialize, JsonSchema)]
struct TalkerView {
    #[serde(flatten)]
    talker: Talker,
    /// What people call it.
    name: Option<String>,
}

async fn talkers(State(shared): State<Arc<Shared>>, Params(span): Params<TalkerSpan>) -> Answer<All<TalkerView>> {
    let limit = limit(span.limit, 20, 100)?;
    let found = shared.blocking(move |shared| {
        let (since, until) = range(shared, span.job.as_deref(), span.since.as_deref(), span.until.as_deref())?;
        let store = shared.kept(span.job.as_deref())?;
        let names = store.device_names()?;
        let talkers = store.talkers(TimeRange::between(since, until), limit)?;
        let view = |talker: Talker| TalkerView { name: names.get(&talker.host).cloned(), talker };
        Ok(All { data: talkers.into_iter().map(view).collect() })
    });
    found.await.map(Json)
}

/// What to count alerts by, and which.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Grouped {
    /// `kind`, `severity`, `device`, `status` or `attack`.
    group: String,
    /// Whose traffic was there at this time or later: RFC 3339.
    since: Option<String>,
    /// Whose traffic began before this time.
    until: Option<String>,
    /// `open`, `acknowledged` or `closed`.
    status: Option<String>,
    /// About this host or device.
    device: Option<String>,
    /// Of this kind; several with commas.
    kind: Option<String>,
    /// This severe or worse.
    min_severity: Option<String>,
    /// Those that a suppression hides too.
    suppressed: Option<bool>,
    /// Of this upload instead of what is watched.
    job: Option<String>,
}

/// How many have something in common.
#[derive(Serialize, JsonSchema)]
struct Count {
    /// What.
    name: String,
    /// How many.
    count: u64,
}

/// What alerts are counted by.
const GROUPS: [&str; 5] = ["kind", "severity", "device", "attack", "status"];

async fn counts(State(shared): State<Arc<Shared>>, Params(asked): Params<Grouped>) -> Answer<All<Count>> {
    let group = super::named("group", Some(&asked.group), AlertGroup::from_name, &GROUPS)?
        .ok_or_else(|| Problem::bad_request("group: say by what"))?;
    let filter = AlertFilter {
        since: asked.since,
        until: asked.until,
        status: asked.status,
        device: asked.device,
        kind: asked.kind,
        min_severity: asked.min_severity,
        suppressed: asked.suppressed,
        ..AlertFilter::default()
    };
    let query = filter.query()?;
    let found = shared.blocking(move |shared| {
        let store = shared.kept(asked.job.as_deref())?;
        filter.check(&query, shared, &store)?;
        let counted = store.count_alerts(&query, group)?;
        Ok(All { data: counted.into_iter().map(|(name, count)| Count { name, count }).collect() })
    });
    found.await.map(Json)
}
