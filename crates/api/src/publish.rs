//! What is new, once a second, for everybody who listens.

use std::sync::Arc;
use std::time::Duration;

use lapwing_capture::Timestamp;
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::clock::now;
use crate::feed::{MOST_SECONDS, Second};
use crate::routes::{overview, sn};
use crate::shared::Shared;
use crate::view::sn::ResponseStatus;

/// How often there is news.
const EVERY: Duration = Duration::from_secs(1);

/// Seconds that one update tells of at most, the latest.
const MOST_TOLD: usize = 60;

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
        // What is new goes out also when the store does not answer: `stats` and `threat` are null then.
        let message = shared.blocking(move |shared| {
            Ok(json!({
                "type": "traffic_update",
                "timestamp": lapwing_alert::rfc3339(now()),
                "traffic": news.entries,
                "alerts": news.alerts,
                "left_out": news.left_out,
                "auto_actions": [],
                "stats": sn::standing(shared).ok(),
                "response_status": ResponseStatus::none(),
                "second": seconds.last(),
                "seconds": seconds,
                "source": shared.operator.source().without_paths(),
                "threat": overview::threat(shared).ok(),
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

/// Ticks that are skipped where they come too late.
pub(crate) fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

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
