"""A tiny folder of order histories; between its first two orders and the third lie three months."""

from pathlib import Path

FILES = {
    "customers.csv": """\
customer_id,customer_unique_id,customer_zip_code_prefix,customer_city,customer_state
c1,b1,01001,são paulo,SP
c2,b2,20231,rio de janeiro,RJ
c3,b1,01001,são paulo,SP
""",
    "orders.csv": """\
order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,order_delivered_carrier_date,\
order_delivered_customer_date,order_estimated_delivery_date
o1,c1,delivered,2017-07-09 21:57:05,2017-07-09 22:10:13,2017-07-11 14:58:04,2017-07-14 10:57:55,2017-08-01 00:00:00
o2,c2,canceled,2017-07-10 08:00:00,,,,2017-08-02 00:00:00
o3,c3,shipped,2017-10-20 09:30:00,2017-10-20 09:31:00,2017-10-21 12:00:00,,
""",
    "order_items.csv": """\
order_id,order_item_id,product_id,seller_id,shipping_limit_date,price,freight_value
o1,1,p1,s1,2017-07-13 22:10:13,99.9,27.65
o1,2,p1,s1,2017-07-13 22:10:13,99.9,27.65
o2,1,p2,s1,2017-07-12 08:00:00,12.90,0.00
o3,1,p2,s1,2017-10-24 09:31:00,12.90,5.10
""",
    "order_payments.csv": """\
order_id,payment_sequential,payment_type,payment_installments,payment_value
o1,2,voucher,1,55.10
o1,1,credit_card,2,200
o3,1,credit_card,1,18.0
""",
    "products.csv": """\
product_id,product_category_name,product_weight_g
p1,perfumaria,1800
p2,,
""",
    "order_reviews.csv": """\
review_id,order_id,review_score,review_comment_message,review_answer_timestamp
r1,o1,5,"came soon,
and well packed",2017-07-18 04:10:37
""",
}


def folder(at: Path) -> Path:
    """The folder with its six files, in UTF-8."""
    at.mkdir()
    for name, text in FILES.items():
        (at / name).write_text(text, encoding="utf-8")
    return at
