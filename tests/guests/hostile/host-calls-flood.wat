;; Asks for the time a thousand million times.
(component
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock (export "now" (func (result u64)))))
  (core func $now (canon lower (func $clock "now")))
  (core module $code
    (import "host" "now" (func $now (result i64)))
    (func (export "flood") (result i32)
      (local $left i32)
      (local.set $left (i32.const 1000000000))
      (loop $more
        (drop (call $now))
        (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
      (local.get $left)))
  (core instance $code (instantiate $code (with "host" (instance (export "now" (func $now))))))
  (func (export "flood") (result u32) (canon lift (core func $code "flood"))))
