;; Takes its standard input for something that can be waited for.
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (import "wasi:io/streams@0.2.0" (instance $streams (export "input-stream" (type $input (sub resource)))))
  (alias export $streams "input-stream" (type $input))
  (import "wasi:cli/stdin@0.2.0" (instance $stdin (export "get-stdin" (func (result (own $input))))))
  (core func $open (canon lower (func $stdin "get-stdin")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core module $code
    (import "host" "open" (func $open (result i32)))
    (import "host" "block" (func $block (param i32)))
    (func (export "confuse") (call $block (call $open))))
  (core instance $code (instantiate $code
    (with "host" (instance (export "open" (func $open)) (export "block" (func $block))))))
  (func (export "confuse") (canon lift (core func $code "confuse"))))
