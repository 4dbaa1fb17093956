//! The model file: as it comes, and with lengths and checksum that fit whatever is inside.
#![no_main]

use lapwing_fuzz::{signed_model, use_model};
use lapwing_learn::Model;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(model) = Model::from_bytes(data) {
        use_model(&model);
    }
    if let Some(file) = signed_model(data)
        && let Ok(model) = Model::from_bytes(&file)
    {
        use_model(&model);
    }
});
