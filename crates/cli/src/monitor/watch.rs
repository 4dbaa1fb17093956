//! What is said about a live run while it goes on, and at its end.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use lapwing_capture::{InterfaceStatus, LiveEvent, LiveStatus, RecorderEvent};
use lapwing_engine::{Control, Heard, InputSummary, Summary};

use crate::progress::Over;

const REFRESH: Duration = Duration::from_millis(250);

/// Tells what happens to interfaces and to the clock.
pub(crate) fn tell(event: LiveEvent) {
    match event {
        LiveEvent::Gone { interface, reason } => eprintln!("lapwing: {interface}: not heard any more: {reason}"),
        LiveEvent::Back { interface, outage } => {
            eprintln!("lapwing: {interface}: heard again after {:.1} s", outage.as_secs_f64());
        }
        LiveEvent::Dropped { interface, dropped, received } => {
            let share = 100.0 * dropped as f64 / (received.max(1) as f64);
            eprintln!("lapwing: {interface}: the kernel had no room for {dropped} of {received} frames ({share:.1} %)");
        }
        LiveEvent::Silent { interface, silence } => {
            eprintln!("lapwing: {interface}: nothing was heard for {} s", silence.as_secs());
        }
        LiveEvent::Heard { interface } => eprintln!("lapwing: {interface}: heard again"),
        LiveEvent::ClockSet { seconds } if seconds > 0.0 => {
            eprintln!(
                "lapwing: the system's clock was set {seconds:.1} s ahead; if that stands for a minute it is followed"
            );
        }
        LiveEvent::ClockSet { seconds } => eprintln!(
            "lapwing: the system's clock was set back by {:.1} s; capture time goes on, and if that stands for a minute a tenth \
             slower until both agree",
            -seconds
        ),
        LiveEvent::ClockFollowed => eprintln!("lapwing: capture time has gone ahead to the system's clock"),
    }
}

/// Tells whether frames are kept.
pub(crate) fn tell_recorder(event: RecorderEvent) {
    match event {
        RecorderEvent::Failed { path, error } => {
            eprintln!("lapwing: {}: frames are not kept for now: {error}", path.display());
        }
        RecorderEvent::Recovered { lost } => eprintln!("lapwing: frames are kept again; {lost} are missing so far"),
    }
}

/// What all interfaces together heard and missed.
pub(crate) fn heard(interfaces: &[InterfaceStatus]) -> Heard {
    let mut heard = Heard { interfaces: interfaces.len() as u32, ..Heard::default() };
    for interface in interfaces {
        heard.received += interface.packets + interface.dropped;
        heard.dropped += interface.dropped;
        heard.away += interface.downtime;
    }
    heard
}

/// What was missed, for the summary.
pub(crate) fn gaps(interfaces: &[InterfaceStatus], not_kept: u64) -> BTreeMap<String, u64> {
    let away: Duration = interfaces.iter().map(|interface| interface.downtime).sum();
    let gaps = [
        ("interface_outages", interfaces.iter().map(|interface| interface.outages).sum()),
        ("seconds_interfaces_were_away", away.as_secs_f64().ceil() as u64),
        ("frames_not_kept", not_kept),
    ];
    gaps.into_iter().filter(|(_, count)| *count > 0).map(|(what, count)| (what.to_owned(), count)).collect()
}

/// Runs `work`; sets `stop` after `duration`; on a terminal a line shows how it stands.
pub(crate) fn watch<T>(
    status: &LiveStatus,
    control: &Control,
    stop: &AtomicBool,
    duration: Option<Duration>,
    work: impl FnOnce() -> T,
) -> T {
    let line = io::stderr().is_terminal();
    if !line && duration.is_none() {
        return work();
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| keep_watch(status, control, stop, duration, line, &done));
        let _over = Over::new(&done, &watcher);
        work()
    })
}

fn keep_watch(
    status: &LiveStatus,
    control: &Control,
    stop: &AtomicBool,
    duration: Option<Duration>,
    line: bool,
    done: &AtomicBool,
) {
    let begun = Instant::now();
    let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let line = line.then(|| ProgressBar::new_spinner().with_style(style));
    let (mut before, mut since) = (0, begun);
    while !done.load(Ordering::Relaxed) {
        thread::park_timeout(REFRESH);
        if duration.is_some_and(|duration| begun.elapsed() >= duration) {
            stop.store(true, Ordering::Relaxed);
        }
        if let Some(line) = &line {
            let frames = control.frames();
            let rate = (frames - before) as f64 / since.elapsed().as_secs_f64().max(0.001);
            (before, since) = (frames, Instant::now());
            line.set_message(standing(&status.interfaces(), frames, rate));
            line.tick();
        }
    }
    if let Some(line) = line {
        line.finish_and_clear();
    }
}

fn standing(interfaces: &[InterfaceStatus], frames: u64, rate: f64) -> String {
    let state = |it: &InterfaceStatus| match (it.up, it.silent) {
        (false, _) => format!("{} gone", it.interface),
        (true, true) => format!("{} silent", it.interface),
        _ => it.interface.clone(),
    };
    let states: Vec<String> = interfaces.iter().map(state).collect();
    let dropped: u64 = interfaces.iter().map(|it| it.dropped).sum();
    let states = if states.is_empty() { "simulation".to_owned() } else { states.join(", ") };
    format!("{states}  {frames} packets  {rate:.0}/s  {dropped} dropped")
}

/// What was seen, what was not, and what it could not be judged by.
pub(crate) fn closing(summary: &Summary, alerts: u64) -> String {
    let is_log = |input: &InputSummary| input.kind.is_some() || input.refused.is_some();
    let mut text = if summary.records > 0 || summary.inputs.iter().any(is_log) {
        format!("lapwing: {alerts} alerts in {} records\n", summary.records)
    } else {
        let Summary { flows, packets, bytes, .. } = summary;
        format!("lapwing: {alerts} alerts in {flows} flows, {packets} packets, {bytes} bytes\n")
    };
    for input in &summary.inputs {
        let InputSummary { path, records, malformed_lines, packets, dropped, .. } = input;
        if let Some(kind) = &input.kind {
            text.push_str(&format!("{path}: {kind}: {records} records, {malformed_lines} malformed\n"));
        } else if input.refused.is_none() {
            text.push_str(&format!("{path}: {packets} packets, {dropped} dropped\n"));
        }
        // Interfaces that were away have lines of their own.
        if let Some(reason) = &input.refused {
            text.push_str(&format!("{path}: not read at the end: {reason}\n"));
        }
    }
    for (what, count) in &summary.undecoded {
        text.push_str(&format!("not decoded: {what}: {count}\n"));
    }
    for (what, count) in &summary.coverage {
        text.push_str(&format!("coverage: {}: {count}\n", what.replace('_', " ")));
    }
    for reason in &summary.not_evaluated {
        text.push_str(&format!("not evaluated: {reason}\n"));
    }
    text
}
