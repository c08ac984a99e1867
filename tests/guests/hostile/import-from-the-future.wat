;; Imports an interface of WASI 0.3.
(component
  (import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock (export "now" (func (result u64)))))
  (core func $now (canon lower (func $clock "now")))
  (core module $code
    (import "host" "now" (func $now (result i64)))
    (func (export "now") (result i64) (call $now)))
  (core instance $code (instantiate $code (with "host" (instance (export "now" (func $now))))))
  (func (export "now") (result u64) (canon lift (core func $code "now"))))
