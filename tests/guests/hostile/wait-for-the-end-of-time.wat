;; Waits for many moments at once, none of which comes.
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "subscribe-instant" (func (param "when" u64) (result (own $pollable))))))
  (core module $memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192)))
  (core instance $memory (instantiate $memory))
  (core func $subscribe (canon lower (func $clock "subscribe-instant")))
  (core func $poll
    (canon lower (func $poll "poll") (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core module $code
    (import "memory" "memory" (memory 1))
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "host" "poll" (func $poll (param i32 i32 i32)))
    (func (export "wait")
      (local $made i32)
      (loop $more
        (i32.store (i32.mul (local.get $made) (i32.const 4)) (call $subscribe (i64.const -1)))
        (br_if $more (i32.lt_u (local.tee $made (i32.add (local.get $made) (i32.const 1))) (i32.const 100))))
      (call $poll (i32.const 0) (i32.const 100) (i32.const 4096))))
  (core instance $code (instantiate $code
    (with "memory" (instance $memory))
    (with "host" (instance (export "subscribe" (func $subscribe)) (export "poll" (func $poll))))))
  (func (export "wait") (canon lift (core func $code "wait"))))
