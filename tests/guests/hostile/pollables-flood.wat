;; Makes five million things to wait for and lets go of none.
(component
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type $pollable (sub resource)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core module $code
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (func (export "flood") (result i32)
      (local $made i32)
      (loop $more
        (drop (call $subscribe (i64.const 1)))
        (br_if $more (i32.lt_u (local.tee $made (i32.add (local.get $made) (i32.const 1))) (i32.const 5000000))))
      (local.get $made)))
  (core instance $code (instantiate $code (with "host" (instance (export "subscribe" (func $subscribe))))))
  (func (export "flood") (result u32) (canon lift (core func $code "flood"))))
