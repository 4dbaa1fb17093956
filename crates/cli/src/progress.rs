//! A bar for work that takes longer than a second, and Ctrl-C.

use std::fs;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use lapwing_engine::Control;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Work shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_secs(1);
const REFRESH: Duration = Duration::from_millis(100);

/// Runs `work`; the first interrupt (or hangup) ends its input early, the second ends the program; on a terminal a bar shows bytes,
/// packets per second and the time that remains.
pub(crate) fn watch<T>(control: &Control, work: impl FnOnce() -> T) -> Result<T> {
    let mut handlers = Vec::new();
    let hangup = hangup_counts().then_some(SIGHUP);
    for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
        let flag = control.stop_flag();
        let second = signal_hook::flag::register_conditional_shutdown(signal, 130, flag.clone());
        handlers.push(second.context("no signal handler could be set")?);
        handlers.push(signal_hook::flag::register(signal, flag).context("no signal handler could be set")?);
    }
    let result = show(control, work);
    for handler in handlers {
        signal_hook::low_level::unregister(handler);
    }
    Ok(result)
}

/// Runs `work`; on a terminal a bar shows how far it has come.
pub(crate) fn show<T>(control: &Control, work: impl FnOnce() -> T) -> T {
    if io::stderr().is_terminal() { with_bar(control, work) } else { work() }
}

/// Whether the terminal's end should end us: not where `nohup` made it ignored, nor where that cannot be known.
fn hangup_counts() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|ignored| ignored & (1 << (SIGHUP - 1)) == 0)
}

fn with_bar<T>(control: &Control, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let bar = scope.spawn(|| draw(control, &done));
        let _over = Over::new(&done, &bar);
        work()
    })
}

/// Ends what goes on beside some work when the work is over, panicking or not: says so, and wakes its thread.
pub(crate) struct Over<'a> {
    done: &'a AtomicBool,
    beside: thread::Thread,
}

impl<'a> Over<'a> {
    pub(crate) fn new<T>(done: &'a AtomicBool, beside: &thread::ScopedJoinHandle<'_, T>) -> Self {
        Self { done, beside: beside.thread().clone() }
    }
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        self.beside.unpark();
    }
}

fn draw(control: &Control, done: &AtomicBool) {
    let begun = Instant::now();
    let mut bar: Option<ProgressBar> = None;
    while !done.load(Ordering::Relaxed) {
        thread::park_timeout(REFRESH);
        if begun.elapsed() < PATIENCE {
            continue;
        }
        let position = control.position();
        let bar = bar.get_or_insert_with(|| match position.total {
            Some(total) => {
                ProgressBar::new(total).with_style(style("{bar:30} {bytes}/{total_bytes}  {msg}  {eta} left"))
            }
            None => ProgressBar::new_spinner().with_style(style("{spinner} {bytes}  {msg}")),
        });
        let rate = control.frames() as f64 / begun.elapsed().as_secs_f64();
        bar.set_message(format!("{rate:.0} packets/s"));
        bar.set_position(position.read);
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
