;; A function whose name is a command to a terminal and a line of its own.
(component
  (core module $code (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "one\1b[2J\0d\0atwo\00") (result u32) (canon lift (core func $code "one"))))
