;; Reads the clocks. Answers whether time never goes back.
(component
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "now" (func (result u64)))
    (export "resolution" (func (result u64)))))
  (core func $now (canon lower (func $clock "now")))
  (core func $resolution (canon lower (func $clock "resolution")))
  (core module $code
    (import "host" "now" (func $now (result i64)))
    (import "host" "resolution" (func $resolution (result i64)))
    (func (export "forward") (result i32)
      (local $left i32)
      (local $last i64)
      (local $now i64)
      (local.set $left (i32.const 1000))
      (block $back
        (loop $more
          (br_if $back (i64.lt_u (local.tee $now (call $now)) (local.get $last)))
          (local.set $last (local.get $now))
          (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (return (i64.ne (call $resolution) (i64.const 0))))
      (i32.const 0)))
  (core instance $code (instantiate $code
    (with "host" (instance (export "now" (func $now)) (export "resolution" (func $resolution))))))
  (func (export "forward") (result bool) (canon lift (core func $code "forward"))))
