;; Answers, and crashes while it cleans up behind its answer.
(component
  (core module $code
    (func (export "one") (result i32) (i32.const 1))
    (func (export "clean-up") (param i32) unreachable))
  (core instance $code (instantiate $code))
  (func (export "one") (result u32)
    (canon lift (core func $code "one") (post-return (core func $code "clean-up")))))
