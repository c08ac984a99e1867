;; Divides the least number by minus one, and turns what is no number, and what is too large, into one.
(component
  (core module $code
    (func (export "divide") (result i32) (i32.div_s (i32.const 0x80000000) (i32.const -1)))
    (func (export "convert") (result i32) (i32.trunc_f32_s (f32.const nan)))
    (func (export "squeeze") (result i32) (i32.trunc_f64_u (f64.const 1e300))))
  (core instance $code (instantiate $code))
  (func (export "divide") (result u32) (canon lift (core func $code "divide")))
  (func (export "convert") (result u32) (canon lift (core func $code "convert")))
  (func (export "squeeze") (result u32) (canon lift (core func $code "squeeze"))))
