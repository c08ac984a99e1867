;; Answers with more bits than its types have: what is beyond them is dropped.
(component
  (core module $code
    (func (export "byte") (result i32) (i32.const 0x1ff))
    (func (export "small") (result i32) (i32.const 0xffff80))
    (func (export "truth") (result i32) (i32.const 0x200)))
  (core instance $code (instantiate $code))
  (func (export "byte") (result u8) (canon lift (core func $code "byte")))
  (func (export "small") (result s8) (canon lift (core func $code "small")))
  (func (export "truth") (result bool) (canon lift (core func $code "truth"))))
