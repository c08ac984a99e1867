;; Waits for one moment, which it names a million times.
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "subscribe-instant" (func (param "when" u64) (result (own $pollable))))))
  (core module $memory
    (memory (export "memory") 80)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4194304)))
  (core instance $memory (instantiate $memory))
  (core func $subscribe (canon lower (func $clock "subscribe-instant")))
  (core func $poll
    (canon lower (func $poll "poll") (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core module $code
    (import "memory" "memory" (memory 80))
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "host" "poll" (func $poll (param i32 i32 i32)))
    (func (export "wait")
      (local $handle i32)
      (local $next i32)
      (local.set $handle (call $subscribe (i64.const -1)))
      (loop $more
        (i32.store (local.get $next) (local.get $handle))
        (br_if $more (i32.lt_u (local.tee $next (i32.add (local.get $next) (i32.const 4))) (i32.const 4000000))))
      (call $poll (i32.const 0) (i32.const 1000000) (i32.const 5000000))))
  (core instance $code (instantiate $code
    (with "memory" (instance $memory))
    (with "host" (instance (export "subscribe" (func $subscribe)) (export "poll" (func $poll))))))
  (func (export "wait") (canon lift (core func $code "wait"))))
