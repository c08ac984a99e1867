;; Ends itself, as if all were well, before it is ready.
(component
  (import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" (result))))))
  (core func $exit (canon lower (func $exit "exit")))
  (core module $code
    (import "host" "exit" (func $exit (param i32)))
    (func $start (call $exit (i32.const 0)))
    (start $start)
    (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code (with "host" (instance (export "exit" (func $exit))))))
  (func (export "one") (result u32) (canon lift (core func $code "one"))))
