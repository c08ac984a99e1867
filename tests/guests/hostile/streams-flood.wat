;; Opens its standard input a million times and closes it never.
(component
  (import "wasi:io/streams@0.2.0" (instance $streams (export "input-stream" (type $input (sub resource)))))
  (alias export $streams "input-stream" (type $input))
  (import "wasi:cli/stdin@0.2.0" (instance $stdin (export "get-stdin" (func (result (own $input))))))
  (core func $open (canon lower (func $stdin "get-stdin")))
  (core module $code
    (import "host" "open" (func $open (result i32)))
    (func (export "flood") (result i32)
      (local $made i32)
      (loop $more
        (drop (call $open))
        (br_if $more (i32.lt_u (local.tee $made (i32.add (local.get $made) (i32.const 1))) (i32.const 1000000))))
      (local.get $made)))
  (core instance $code (instantiate $code (with "host" (instance (export "open" (func $open))))))
  (func (export "flood") (result u32) (canon lift (core func $code "flood"))))
