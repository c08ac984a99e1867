;; Components that each instantiate the one before them twice, six levels: 64 instances of an empty module.
;; Must work, or be refused for the number of its instances; it is not costly.
(component
  (component $level0
    (core module $leaf)
    (core instance (instantiate $leaf)))
  (component $level1
    (instance (instantiate $level0))
    (instance (instantiate $level0)))
  (component $level2
    (instance (instantiate $level1))
    (instance (instantiate $level1)))
  (component $level3
    (instance (instantiate $level2))
    (instance (instantiate $level2)))
  (component $level4
    (instance (instantiate $level3))
    (instance (instantiate $level3)))
  (component $level5
    (instance (instantiate $level4))
    (instance (instantiate $level4)))
  (component $level6
    (instance (instantiate $level5))
    (instance (instantiate $level5)))
  (instance (instantiate $level6))
  (core module $code
    (func (export "add") (param i32 i32) (result i32)
      (i32.add (local.get 0) (local.get 1))))
  (core instance $code (instantiate $code))
  (func (export "add") (param "a" u32) (param "b" u32) (result u32)
    (canon lift (core func $code "add"))))
