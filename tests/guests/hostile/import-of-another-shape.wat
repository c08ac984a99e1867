;; Imports an interface that is offered, with a function that has other parameters than it really has.
(component
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "now" (func (param "zone" u32) (result u64)))))
  (core func $now (canon lower (func $clock "now")))
  (core module $code
    (import "host" "now" (func $now (param i32) (result i64)))
    (func (export "now") (result i64) (call $now (i32.const 1))))
  (core instance $code (instantiate $code (with "host" (instance (export "now" (func $now))))))
  (func (export "now") (result u64) (canon lift (core func $code "now"))))
