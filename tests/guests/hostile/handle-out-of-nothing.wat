;; Drops, uses and waits for handles that it never got.
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (core func $drop (canon resource.drop $pollable))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core module $code
    (import "host" "drop" (func $drop (param i32)))
    (import "host" "block" (func $block (param i32)))
    (func (export "drop") (param i32) (call $drop (local.get 0)))
    (func (export "block") (param i32) (call $block (local.get 0))))
  (core instance $code (instantiate $code
    (with "host" (instance (export "drop" (func $drop)) (export "block" (func $block))))))
  (func (export "drop") (param "handle" u32) (canon lift (core func $code "drop")))
  (func (export "block") (param "handle" u32) (canon lift (core func $code "block"))))
