//! Any bytes as a component: reading its types never panics, and plans and schemas can be made of what it offers.

#![no_main]

use fumehood_value::{LOCAL, Plan, describe};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(interface) = describe(bytes) else { return };
    for plan in Plan::of(&interface) {
        let _ = plan.input_schema(LOCAL).into_document();
        let _ = plan.output_object_schema(LOCAL).into_document();
    }
});
