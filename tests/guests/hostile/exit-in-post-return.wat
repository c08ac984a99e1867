;; Answers, and then ends itself while it cleans up behind its answer.
(component
  (import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" (result))))))
  (core func $exit (canon lower (func $exit "exit")))
  (core module $code
    (import "host" "exit" (func $exit (param i32)))
    (func (export "one") (result i32) (i32.const 1))
    (func (export "clean-up") (param i32) (call $exit (i32.const 0))))
  (core instance $code (instantiate $code (with "host" (instance (export "exit" (func $exit))))))
  (func (export "one") (result u32)
    (canon lift (core func $code "one") (post-return (core func $code "clean-up")))))
