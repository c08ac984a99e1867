;; Two tables that grow in turns as long as they may: the bound holds for both together. Answers with the elements
;; that it got, in thousands.
(component
  (core module $code
    (table $left 0 funcref)
    (table $right 0 funcref)
    (func (export "grow") (result i32)
      (local $thousands i32)
      (block $full
        (loop $again
          (br_if $full (i32.eq (table.grow $left (ref.null func) (i32.const 1000)) (i32.const -1)))
          (local.set $thousands (i32.add (local.get $thousands) (i32.const 1)))
          (br_if $full (i32.eq (table.grow $right (ref.null func) (i32.const 1000)) (i32.const -1)))
          (local.set $thousands (i32.add (local.get $thousands) (i32.const 1)))
          (br $again)))
      (local.get $thousands)))
  (core instance $code (instantiate $code))
  (func (export "grow") (result u32) (canon lift (core func $code "grow"))))
