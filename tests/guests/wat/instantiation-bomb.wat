;; Components that each instantiate the one before them twice, 24 levels: 16 million instances from two kilobytes.
;; Must be refused before it is compiled: compiling takes gigabytes.
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
  (component $level7
    (instance (instantiate $level6))
    (instance (instantiate $level6)))
  (component $level8
    (instance (instantiate $level7))
    (instance (instantiate $level7)))
  (component $level9
    (instance (instantiate $level8))
    (instance (instantiate $level8)))
  (component $level10
    (instance (instantiate $level9))
    (instance (instantiate $level9)))
  (component $level11
    (instance (instantiate $level10))
    (instance (instantiate $level10)))
  (component $level12
    (instance (instantiate $level11))
    (instance (instantiate $level11)))
  (component $level13
    (instance (instantiate $level12))
    (instance (instantiate $level12)))
  (component $level14
    (instance (instantiate $level13))
    (instance (instantiate $level13)))
  (component $level15
    (instance (instantiate $level14))
    (instance (instantiate $level14)))
  (component $level16
    (instance (instantiate $level15))
    (instance (instantiate $level15)))
  (component $level17
    (instance (instantiate $level16))
    (instance (instantiate $level16)))
  (component $level18
    (instance (instantiate $level17))
    (instance (instantiate $level17)))
  (component $level19
    (instance (instantiate $level18))
    (instance (instantiate $level18)))
  (component $level20
    (instance (instantiate $level19))
    (instance (instantiate $level19)))
  (component $level21
    (instance (instantiate $level20))
    (instance (instantiate $level20)))
  (component $level22
    (instance (instantiate $level21))
    (instance (instantiate $level21)))
  (component $level23
    (instance (instantiate $level22))
    (instance (instantiate $level22)))
  (component $level24
    (instance (instantiate $level23))
    (instance (instantiate $level23)))
  (instance (instantiate $level24))
  (core module $code
    (func (export "add") (param i32 i32) (result i32)
      (i32.add (local.get 0) (local.get 1))))
  (core instance $code (instantiate $code))
  (func (export "add") (param "a" u32) (param "b" u32) (result u32)
    (canon lift (core func $code "add"))))
