//! The rule loader, and what the rules that load make of measurements and flows.
//!
//! The text before a line of `# cases` holds rules, that behind it their cases.
#![no_main]

use std::sync::OnceLock;

use lapwing_capture::{LinkType, Timestamp};
use lapwing_decode::{Address, PacketBatch};
use lapwing_detect::signature::{SignatureSource, Signatures, order, service_fields, services, test};
use lapwing_detect::{Measurement, Subject, Value};
use lapwing_flow::{Flow, FlowConfig, FlowEventKind, ReassemblyLimits};
use lapwing_fuzz::{Frames, Traffic};
use lapwing_protocol::{LocalNetworks, Observation, Observed};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = str::from_utf8(data) else { return Corpus::Reject };
    let (rules, cases) = match text.split_once("\n# cases\n") {
        Some((rules, cases)) => (rules, Some(cases)),
        None => (text, None),
    };
    let source = SignatureSource {
        file: "hostile.yml".to_owned(),
        text: rules.to_owned().into(),
        cases: cases.map(|cases| cases.to_owned().into()),
    };
    let sources = [source];
    let (mut signatures, _) = Signatures::load(&sources, LocalNetworks::default());
    let mut found = Vec::new();
    for second in 1_000..1_004 {
        let mut measured: Vec<Measurement> = services().map(|service| measurement(service, second)).collect();
        order(&mut measured);
        signatures.judge(&measured, &mut found);
        signatures.observe(&observed(second), &mut found);
        signatures.advance(Timestamp::from_seconds(second));
    }
    for detection in &found {
        assert!(detection.explanation.len() < 1 << 20);
    }
    if cases.is_some() {
        let _ = test(&sources);
    }
    Corpus::Keep
});

fn measurement(service: &'static str, second: i64) -> Measurement {
    let (source, target) = (Address::v4([10, 0, 0, 1]), Address::v4([10, 0, 0, 2]));
    let time = Timestamp::from_seconds(second);
    Measurement {
        time,
        service,
        detector: "fuzz",
        subject: Subject::HostPair { source, target },
        peers: vec![target],
        first: Timestamp::from_seconds(second - 10),
        last: time,
        evidence: Vec::new(),
        fields: service_fields(service).into_iter().flatten().zip(values(second)).collect(),
    }
}

/// Values of every type, edges among them, again and again: a field may hold what its name does not promise.
fn values(second: i64) -> impl Iterator<Item = Value> {
    let values = [
        Value::Address(Address::v4([10, 0, 0, 1])),
        Value::Count(second as u64),
        Value::Number(0.75),
        Value::Text("tcp".into()),
        Value::Count(u64::MAX),
        Value::Number(f64::INFINITY),
        Value::Mac([2, 0, 0, 0, 0, 1]),
        Value::Number(f64::NAN),
        Value::Flag(true),
    ];
    values.into_iter().cycle()
}

/// The flows of a TCP and a UDP packet as if they had ended in `second`.
fn observed(second: i64) -> Vec<Observed<'static>> {
    static FLOWS: OnceLock<Vec<Flow>> = OnceLock::new();
    let flows = FLOWS.get_or_init(flows);
    let observed =
        |flow| Observed { time: Timestamp::from_seconds(second), frame: 1, fact: Observation::FlowEnded(flow) };
    flows.iter().map(observed).collect()
}

fn flows() -> Vec<Flow> {
    let ip = |protocol, length| [0x45, 0, 0, length, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    let syn = [0x9c, 0x40, 0, 23, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0];
    let query = [0x9c, 0x41, 0, 53, 0, 12, 0, 0, b'l', b'a', b'p', b'w'];
    let mut frames = Frames::default();
    frames.begin();
    frames.push(LinkType::RAW.0, 0, &[&ip(6, 40)[..], &syn].concat());
    frames.push(LinkType::RAW.0, 4, &[&ip(17, 32)[..], &query].concat());
    let mut traffic = Traffic::new(FlowConfig::default(), ReassemblyLimits::default());
    traffic.take(&frames.batch, &mut PacketBatch::default());
    let ended = traffic.finish().into_iter().filter(|event| matches!(event.kind, FlowEventKind::Ended(_)));
    ended.map(|event| event.flow).collect()
}
