;; Drops a handle twice, and uses one after it was dropped.
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.ready" (func (param "self" (borrow $pollable)) (result bool)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $drop (canon resource.drop $pollable))
  (core func $ready (canon lower (func $poll "[method]pollable.ready")))
  (core module $code
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "host" "drop" (func $drop (param i32)))
    (import "host" "ready" (func $ready (param i32) (result i32)))
    (func (export "drop-twice") (result i32)
      (local $handle i32)
      (call $drop (local.tee $handle (call $subscribe (i64.const 1))))
      (call $drop (local.get $handle))
      (i32.const 1))
    (func (export "use-after-drop") (result i32)
      (local $handle i32)
      (call $drop (local.tee $handle (call $subscribe (i64.const 1))))
      (call $ready (local.get $handle))))
  (core instance $code (instantiate $code
    (with "host" (instance
      (export "subscribe" (func $subscribe))
      (export "drop" (func $drop))
      (export "ready" (func $ready))))))
  (func (export "drop-twice") (result u32) (canon lift (core func $code "drop-twice")))
  (func (export "use-after-drop") (result u32) (canon lift (core func $code "use-after-drop"))))
